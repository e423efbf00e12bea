use super::*;

fn root() -> Identity {
    Identity { is_root: true, permitted: caps::all() }
}

fn user(permitted: &[Capability]) -> Identity {
    Identity { is_root: false, permitted: permitted.iter().copied().collect() }
}

fn firewall() -> Needs {
    Needs { firewall: true, ..Needs::default() }
}

fn anything(command: &str) -> Needs {
    Needs { anything: Some(command.to_owned()), ..firewall() }
}

fn decided(identity: &Identity, needs: &Needs) -> String {
    let host = Host { has_legacy_v4: true, has_legacy_v6: true, has_foreign_files: false };
    Kept::decide(identity, needs, host).to_string()
}

#[test]
fn root_keeps_what_its_commands_can_need() {
    insta::assert_snapshot!(decided(&root(), &firewall()), @"running as root with CAP_NET_ADMIN and CAP_NET_RAW only, which is all that the commands can need");
    insta::assert_snapshot!(decided(&root(), &Needs::default()), @"running as root with CAP_NET_RAW only; commands get no capability");
    insta::assert_snapshot!(decided(&root(), &anything("ufw allow from %IP%")), @"running as root with all privileges kept, for there is no telling what the command `ufw allow from %IP%` needs");
}

#[test]
fn a_container_s_root_keeps_no_more_than_it_has() {
    let identity = Identity { is_root: true, ..user(&[Capability::CAP_NET_RAW]) };
    insta::assert_snapshot!(decided(&identity, &firewall()), @"running as root with CAP_NET_RAW only, which is all that the commands can need");
}

#[test]
fn files_of_others_are_the_daemon_s_business_alone() {
    let host = Host { has_foreign_files: true, has_legacy_v4: true, has_legacy_v6: true };
    insta::assert_snapshot!(Kept::decide(&root(), &firewall(), host), @"running as root with CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_NET_ADMIN and CAP_NET_RAW only, for some of its files belong to others; commands get CAP_NET_ADMIN and CAP_NET_RAW");
}

#[test]
fn an_older_iptables_that_is_not_loaded_may_load_itself() {
    let command = "iptables-legacy -L".to_owned();
    for (needs, host, loads) in [
        (Needs { legacy_v4: Some(command.clone()), ..firewall() }, [false, true], true),
        (Needs { legacy_v4: Some(command.clone()), ..firewall() }, [true, false], false),
        (Needs { legacy_v6: Some(command.clone()), ..firewall() }, [true, false], true),
        (Needs { legacy_v6: Some(command), ..firewall() }, [false, true], false),
        (firewall(), [false, false], false),
    ] {
        let [has_legacy_v4, has_legacy_v6] = host;
        let host = Host { has_legacy_v4, has_legacy_v6, has_foreign_files: false };
        let kept = Kept::decide(&root(), &needs, host);
        assert_eq!(
            kept.commands.contains(&Capability::CAP_SYS_MODULE),
            loads,
            "{needs:?} {host:?}"
        );
    }
}

#[test]
fn a_user_hands_on_what_it_was_given() {
    let both = [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN];
    insta::assert_snapshot!(decided(&user(&both), &firewall()), @"running as an ordinary user with CAP_NET_ADMIN and CAP_NET_RAW; commands get CAP_NET_ADMIN and CAP_NET_RAW");
    insta::assert_snapshot!(decided(&user(&both), &anything("sudo x")), @"running as an ordinary user with CAP_NET_ADMIN and CAP_NET_RAW; commands get CAP_NET_ADMIN and CAP_NET_RAW");
    insta::assert_snapshot!(decided(&user(&both), &Needs::default()), @"running as an ordinary user with CAP_NET_RAW; commands get no capability");
    insta::assert_snapshot!(decided(&user(&[]), &firewall()), @"running as an ordinary user with no capability; commands get no capability");
}

fn told(identity: &Identity, needs: &Needs) -> String {
    let missing = missing(identity, needs, Path::new("/usr/sbin/knockd"));
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_missing_is_told_with_the_way_out() {
    assert_eq!(told(&root(), &anything("x")), "");
    let both = [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN];
    assert_eq!(told(&user(&both), &firewall()), "");
    assert_eq!(told(&user(&both[..1]), &Needs::default()), "");
    insta::assert_snapshot!(told(&user(&[]), &firewall()), @r"
    CAP_NET_RAW is missing, which it takes to capture packets: start knockd as root, or give it to the service (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW) or to the program (setcap cap_net_admin,cap_net_raw+ep /usr/sbin/knockd)
    CAP_NET_ADMIN is missing, which it takes for commands that change the firewall: start knockd as root, or give it to the service (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW) or to the program (setcap cap_net_admin,cap_net_raw+ep /usr/sbin/knockd)
    ");
    let needs = Needs { legacy_v4: Some("iptables -L".to_owned()), ..anything("ufw reload") };
    insta::assert_snapshot!(told(&user(&both), &needs), @r"
    the command `iptables -L` calls the older iptables, whose lock only root can have: start knockd as root, or use iptables-nft or nft
    the command `ufw reload` runs as an ordinary user, and may need to be root: if it does, start knockd as root, or let it use sudo
    ");
}

#[test]
fn what_was_dropped_is_missed_by_a_later_config_only() {
    let host = Host::default();
    let all = Kept::decide(&root(), &anything("ufw"), host);
    let firewall_only = Kept::decide(&root(), &firewall(), host);
    let nothing = Kept::decide(&root(), &Needs::default(), host);
    for (kept, needs) in [
        (&all, anything("systemctl start x")),
        (&all, Needs::default()),
        (&firewall_only, firewall()),
        (&firewall_only, Needs::default()),
        (&nothing, Needs::default()),
    ] {
        assert_eq!(kept.lacks(&needs), None, "{kept}: {needs:?}");
    }
    insta::assert_snapshot!(firewall_only.lacks(&anything("ufw reload")).unwrap(), @"the command `ufw reload` may need privileges that were dropped at start, when no command could need them; restart knockd");
    insta::assert_snapshot!(nothing.lacks(&firewall()).unwrap(), @"there are commands now that change the firewall, and that privilege was dropped at start, when there were none; restart knockd");
}
