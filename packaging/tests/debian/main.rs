//! The Debian package in a Debian of its own: installed, installed over Debian's knockd, removed and
//! purged. `make test-full` runs it; it takes root, debootstrap, cargo-deb, and a network for the
//! first time: the bare Debian is kept in the target folder.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod host;

use host::Host;

/// What a config of somebody's has in it.
const EDITED: &str = "
    cat >/etc/knockd.conf <<END
[options]
logfile = /var/log/knockd.log
interface = lo
[opened]
sequence = 7000,8000,9000
seq_timeout = 10
command = touch /tmp/opened
END
    cp /etc/knockd.conf /tmp/edited.conf; sed -i s/START_KNOCKD=0/START_KNOCKD=1/ /etc/default/knockd";

#[test]
fn a_fresh_installation_starts_nothing_and_opens_nothing() {
    Host::new().run(
        "put_package
         state sesame-knockd 'install ok installed'
         is \"$(stat -c '%U:%G %a' /etc/knockd.conf)\" 'root:knockd 640'
         grep -q '^#\\[ssh\\]' /etc/knockd.conf
         absent /etc/systemd/system/knockd.service.d/privileged.conf
         absent /etc/systemd/system/multi-user.target.wants/knockd.service
         is \"$(systemctl is-enabled knockd.service 2>/dev/null)\" disabled
         ls /etc/rc3.d/S??knockd /etc/rc0.d/K??knockd >/dev/null
         nobody_runs
         invoke-rc.d knockd start | grep -q 'START_KNOCKD'; nobody_runs
         for page in knockd.1 knock.1 knock-replay.1; do test -s /usr/share/man/man1/$page.gz; done
         test -s /usr/share/man/man5/knockd.conf.5.gz
         knock --version >/dev/null; knock-replay --version >/dev/null
         systemd-analyze verify --man=no knockd.service 2>&1 | grep knockd && fail 'the unit'
         systemd-analyze security --offline=yes --no-pager --threshold=15 knockd.service >/dev/null
         knockd --check -i lo 2>&1 | grep -q 'there is no door'",
    );
}

#[test]
fn a_door_opens_by_the_packaged_programs_and_a_purge_leaves_nothing() {
    Host::new().run(&format!(
        "put_package
         {EDITED}
         invoke-rc.d knockd start; ours_runs
         knock -d 20 127.0.0.1 7000 8000 9000; until_there /tmp/opened
         check=$(cat /etc/knockd.conf); sed -i 's/7000/70000/' /etc/knockd.conf
         invoke-rc.d knockd restart >/dev/null 2>&1 && fail 'a broken config is no reason to stop'
         ours_runs; echo \"$check\" >/etc/knockd.conf
         put_package_again; ours_runs
         quietly dpkg --remove sesame-knockd
         nobody_runs; cmp /etc/knockd.conf /tmp/edited.conf
         state sesame-knockd 'deinstall ok config-files'
         quietly dpkg --purge sesame-knockd
         for file in /etc/knockd.conf /etc/default/knockd /etc/init.d/knockd /var/lib/knockd \\
                     /var/lib/sesame-knockd /etc/logrotate.d/knockd /etc/rc3.d/S??knockd \\
                     /usr/sbin/knockd /usr/lib/knockd /usr/share/knockd; do
             absent \"$file\"
         done"
    ));
}

#[test]
fn an_edited_config_survives_and_its_daemon_goes_on_with_debian_s_privileges() {
    Host::new().run(&format!(
        "put_debian_s
         {EDITED}
         quietly systemctl enable knockd; invoke-rc.d knockd start >/dev/null; somebody_runs
         wanted=/etc/systemd/system/multi-user.target.wants/knockd.service
         test -L $wanted
         put_package
         ours_runs
         cmp /etc/knockd.conf /tmp/edited.conf; grep -q ^START_KNOCKD=1 /etc/default/knockd
         test -L $wanted; test -s /lib/systemd/system/knockd.service
         test -s /etc/systemd/system/knockd.service.d/privileged.conf
         grep -q check-first /etc/init.d/knockd
         knock -d 20 127.0.0.1 7000 8000 9000; until_there /tmp/opened
         knock_helper_ipt.sh --help | grep -q ip6tables
         # What is left of the old package goes, and takes nothing along.
         state knockd 'install ok config-files'
         quietly dpkg --purge knockd
         cmp /etc/knockd.conf /tmp/edited.conf; test -s /etc/init.d/knockd; test -L $wanted
         is \"$(systemctl is-enabled knockd.service)\" enabled
         ours_runs
         # No upgrade puts the old one back.
         apt-get -s -y dist-upgrade | grep -q '^Inst knockd' && fail 'the old one is back'
         state sesame-knockd 'install ok installed'"
    ));
}

#[test]
fn apt_puts_it_in_the_place_of_debian_s() {
    Host::new().run(&format!(
        "put_debian_s
         {EDITED}
         invoke-rc.d knockd start >/dev/null; somebody_runs
         quietly apt-get -y -o Dpkg::Options::=--force-confold install /tmp/sesame-knockd.deb
         ours_runs; cmp /etc/knockd.conf /tmp/edited.conf
         state sesame-knockd 'install ok installed'; state knockd 'deinstall ok config-files'"
    ));
}

#[test]
fn an_edited_config_that_nobody_is_asked_about_stops_the_installation_before_anything_happens() {
    Host::new().run(&format!(
        "put_debian_s
         {EDITED}
         invoke-rc.d knockd start >/dev/null; somebody_runs
         said=$(dpkg --install /tmp/sesame-knockd.deb 2>&1 </dev/null) && fail \"$said\"
         grep -q force-confold <<<\"$said\"
         state knockd 'install ok installed'; somebody_runs; cmp /etc/knockd.conf /tmp/edited.conf"
    ));
}

#[test]
fn a_sample_that_is_in_use_stays_and_one_that_is_not_makes_room() {
    Host::new().run(
        "put_debian_s
         cp /etc/knockd.conf /tmp/sample.conf
         quietly systemctl enable knockd
         put_package
         cmp /etc/knockd.conf /tmp/sample.conf
         test -s /etc/systemd/system/knockd.service.d/privileged.conf",
    );
    Host::new().run(
        "put_debian_s
         put_package
         grep -q '^#\\[ssh\\]' /etc/knockd.conf
         absent /etc/systemd/system/knockd.service.d/privileged.conf
         nobody_runs",
    );
}
