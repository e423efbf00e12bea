//! The lives of the daemon: how they begin, and how they end.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;

use super::{Checked, SCANNER, World};
use crate::fate::{Fate, Phase, Point};
use crate::life::Place;
use crate::marks::sometimes;
use crate::oracle::Oracle;
use crate::plan;
use crate::schedule::{Act, MILLI, SECOND};
use crate::swarm::Class;

impl World {
    /// Starts the daemon.
    pub(crate) fn start(&mut self) -> Checked {
        let fate = Rc::new(Fate::new(0));
        if self.swarm.strikes(Class::DeepCrashes, 800) {
            fate.doom(self.swarm.random(Class::DeepCrashes).span(1, 40));
        }
        self.counts.lives += 1;
        self.tell("the daemon starts");
        let place = Place {
            earth: &self.earth,
            files: &self.files,
            boot: self.boot,
            half_len: self.half_len,
            local: &self.local,
        };
        let has_limits = self.plan.max_attempts.or(self.plan.max_leases).is_some();
        let can_be_one_time = self.plan.has_one_time_doors() || self.swarm.is_on(Class::Reloads);
        let is_whole = has_limits || can_be_one_time;
        let scanner = IpAddr::V4(Ipv4Addr::from(SCANNER));
        let sources = [&*self.sources, &[scanner]].concat();
        let sources = (!is_whole).then_some(&*sources);
        let started = place.start(&fate, |config| Oracle::new(config, &self.local, sources));
        let (mut life, recovered) = match started {
            Ok(started) => started,
            Err(error) => return self.start_failed(&fate, &error),
        };
        sometimes!(!recovered.entries.is_empty(), "recovery finds an open door");
        sometimes!(!recovered.damage.is_empty(), "recovery finds damage");
        life.ears.kept = self.is_keeping.then(Vec::new);
        let before = 0;
        self.disk_due = None;
        self.life = Some(life);
        self.check_turn(before)?;
        if self.has_died() {
            return self.bury(false);
        }
        self.depth = 0;
        self.schedule_disk();
        Ok(())
    }

    /// Whoever looks after daemons starts it again; where its ledger is none any more, people see
    /// to that.
    pub(super) fn start_failed(&mut self, fate: &Fate, error: &anyhow::Error) -> Checked {
        self.note_death(fate);
        let text = format!("{error:#}");
        self.tell(&text);
        let is_ledger = text.contains("no ledger of knockd") || text.contains("has format");
        if is_ledger {
            if !self.is_rotten {
                return Err(format!("it does not start: {text}"));
            }
            let state = Path::new(plan::STATE);
            for (name, _) in self.files.contents(state) {
                self.files.take_away(&state.join(name));
            }
        }
        let is_config = text.contains("config") || text.contains("one-time");
        if is_config {
            self.write_config();
        }
        self.start_later();
        Ok(())
    }

    pub(super) fn start_later(&mut self) {
        let pause = self.random.span(10 * MILLI, 20 * SECOND);
        self.schedule.add(self.earth.now.get() + pause, Act::Start);
    }

    pub(crate) fn has_died(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.fate.is_dead())
    }

    /// Kills the daemon where it stands.
    pub(crate) fn kill(&mut self) {
        if let Some(life) = &self.life {
            life.fate.kill();
        }
    }

    pub(super) fn note_death(&mut self, fate: &Fate) {
        self.counts.passed.append(&mut fate.take_seen());
        let Some(point) = fate.died_at() else { return };
        self.counts.died_at.insert(point);
        self.swarm.note(Class::Kills);
        match point.0 {
            Phase::Opening => {
                self.depth += 1;
                if self.depth > 1 {
                    self.swarm.note(Class::DeepCrashes);
                }
                sometimes!("crash in recovery");
                sometimes!(self.depth >= 2, "crash in recovery, two deep");
                sometimes!(self.depth >= 3, "crash in recovery, three deep");
            }
            Phase::Working => {
                let is_mark = point.1 == Point::SyncFolder;
                sometimes!(is_mark, "crash between the mark of a one-time line and its start");
                self.depth = 0;
            }
            Phase::Reloading => sometimes!("crash while a config is read anew"),
            Phase::Closing => sometimes!("crash while the daemon closes"),
        }
    }

    /// Takes the dead daemon away, and what dies with it.
    pub(crate) fn bury(&mut self, is_power_cut: bool) -> Checked {
        let Some(mut life) = self.life.take() else { return Ok(()) };
        self.note_death(&life.fate);
        let point = life.fate.died_at();
        self.tell(&format!("the daemon is dead: {point:?}"));
        // A daemon that is killed loses what its threads had not written.
        let is_cut = is_power_cut || self.swarm.strikes(Class::PowerCuts, 500);
        if is_cut {
            self.swarm.note(Class::PowerCuts);
        }
        let model = &mut life.daemon.hands.world;
        if is_cut {
            model.processes.clear();
        } else {
            model.orphan();
        }
        self.counts.events += life.ears.heard;
        if !is_cut {
            self.check_recording(&life, false)?;
        }
        drop(life);
        self.disk_due = None;
        if is_cut {
            self.files.cut_power();
            self.earth.firewall.borrow_mut().flush();
            self.boot += 1;
            self.earth.booted.set(self.earth.now.get());
        }
        self.start_later();
        Ok(())
    }

    pub(super) fn reload(&mut self, is_bad: bool) -> Checked {
        let Some(life) = &mut self.life else { return Ok(()) };
        life.fate.enter(Phase::Reloading);
        let before = life.daemon.configs();
        let open = life.daemon.open_doors();
        // Reading takes its time.
        self.earth.now.set(self.earth.now.get() + self.random.span(1000, 20 * MILLI));
        let Some(life) = &mut self.life else { return Ok(()) };
        life.daemon.reload(&mut life.ears);
        life.fate.enter(Phase::Working);
        let is_changed = before != life.daemon.configs();
        sometimes!(is_changed && open > 0, "a door changes while it is open");
        self.counts.events += 1;
        if is_bad {
            if is_changed {
                return Err("a bad config was taken".to_owned());
            }
            sometimes!("a bad config is refused");
            self.write_config();
        }
        self.check_turn(before)
    }

    /// A second daemon must leave the first one alone.
    pub(super) fn start_a_second(&mut self) -> Checked {
        self.swarm.note(Class::DoubleStarts);
        let place = Place {
            earth: &self.earth,
            files: &self.files,
            boot: self.boot,
            half_len: self.half_len,
            local: &self.local,
        };
        let fate = Rc::new(Fate::new(0));
        let started = place.start(&fate, |config| Oracle::new(config, &self.local, Some(&[])));
        match started {
            Ok(_) => Err("two daemons have one ledger".to_owned()),
            Err(_) => {
                sometimes!("a second daemon is sent away");
                Ok(())
            }
        }
    }

    /// Asks the daemon to stop, and lets it.
    pub(crate) fn stop(&mut self) -> Checked {
        let Some(life) = &mut self.life else { return Ok(()) };
        life.fate.enter(Phase::Closing);
        let earth = Rc::clone(&self.earth);
        let mut disk_due = self.disk_due.take();
        let mut closing = life.daemon.close();
        while let Some(next) = closing.poll_timeout() {
            let model = &mut closing.hands.world;
            let until = earth.booted.get()
                + u64::try_from(model.clock.since_boot(next).as_nanos()).unwrap_or(0);
            if disk_due.is_none() && !model.writes.is_empty() {
                disk_due = Some(earth.now.get() + self.random.between(20_000, 3 * MILLI));
            }
            let wake = [Some(until), model.next_exit(), disk_due].into_iter().flatten().min();
            earth.now.set(earth.now.get().max(wake.unwrap_or(until)));
            model.end_processes();
            if disk_due.is_some_and(|due| due <= earth.now.get()) {
                disk_due = None;
                model.work_disk();
            }
            closing.turn();
            if life.fate.is_dead() {
                break;
            }
        }
        self.end_life()
    }

    /// The end of a daemon that was asked to stop.
    pub(super) fn end_life(&mut self) -> Checked {
        let Some(life) = &mut self.life else { return Ok(()) };
        let before = life.daemon.configs();
        life.daemon.say_goodbye(None);
        // What the disk takes too long for stays unwritten.
        while !life.daemon.hands.world.writes.is_empty() && !life.fate.is_dead() {
            if self.swarm.is_on(Class::SlowDisk) && self.random.chance(300) {
                break;
            }
            life.daemon.hands.world.work_disk();
        }
        let now = knockd::daemon::World::now(&life.daemon.hands.world);
        life.daemon.hands.close_recording(now, std::time::Duration::from_millis(60));
        if let Some(recording) = &mut life.recording {
            recording.work();
        }
        self.check_turn(before)?;
        if self.has_died() {
            return self.bury(false);
        }
        let Some(mut life) = self.life.take() else { return Ok(()) };
        self.note_death(&life.fate);
        life.daemon.hands.world.orphan();
        self.counts.events += life.ears.heard;
        self.check_recording(&life, true)?;
        drop(life);
        self.start_later();
        Ok(())
    }
}
