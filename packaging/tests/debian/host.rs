//! A bare Debian that a test can have for itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The release, whose knockd is 0.8.
const SUITE: &str = "bookworm";

/// What is in it besides what every Debian has; the package's dependencies are among them.
const PACKAGES: &str = "adduser,init-system-helpers,iproute2,iptables,libpcap0.8,logrotate,lsb-base,\
                        procps,systemd";

/// The words that the tests' scripts are written in.
const WORDS: &str = r#"
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
fail() { echo "FAILED: $*" >&2; exit 1; }
trap 'echo "FAILED in line $LINENO: $BASH_COMMAND" >&2' ERR
is() { [ "$1" = "$2" ] || fail "$1 is not $2"; }
absent() { ! [ -e "$1" ] && ! [ -L "$1" ] || fail "$1 is there"; }
quietly() { "$@" >/tmp/said 2>&1 </dev/null || { cat /tmp/said; fail "$*"; }; }
state() { is "$(dpkg-query -W -f='${Status}' "$1")" "$2"; }
put_package() { quietly dpkg --force-confold --install /tmp/sesame-knockd.deb; }
put_package_again() { put_package; }
put_debian_s() { quietly dpkg --install /var/cache/apt/archives/knockd_*.deb; }
nobody_runs() { ! pgrep -x knockd >/dev/null || fail "knockd runs"; }
somebody_runs() { pgrep -x knockd >/dev/null || fail "knockd does not run"; }
ours_runs() {
    somebody_runs
    "/proc/$(pgrep -x knockd)/exe" --version | grep -q Sesame || { cat /tmp/said; fail "the old one runs"; }
}
until_there() {
    for _ in $(seq 500); do ! [ -e "$1" ] || return 0; sleep 0.01; done
    fail "$1 does not come"
}
"#;

/// A Debian that is gone with the test.
pub(crate) struct Host(TempDir);

impl Host {
    /// Makes one, with the package in `/tmp`.
    pub(crate) fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "a Debian of its own can only be made as root: sudo make test-full"
        );
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir(host.0.path().join("root")).unwrap();
        host
    }

    /// Runs a script in it, in namespaces of its own.
    ///
    /// # Panics
    ///
    /// The script fails; the message has what it said.
    pub(crate) fn run(&self, script: &str) {
        let inner = self.0.path().join("script");
        fs::write(&inner, format!("{WORDS}\nip link set lo up\n{script}\necho done\n")).unwrap();
        let outer = r#"
            set -euo pipefail
            mount -t tmpfs none "$2"; mkdir "$2/upper" "$2/work"
            mount -t overlay none -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$3"
            for folder in proc dev; do mount --rbind "/$folder" "$3/$folder"; done
            mount -t proc none "$3/proc"; mount -t tmpfs none "$3/run"
            cp "$4" "$3/tmp/sesame-knockd.deb"; cp "$5" "$3/tmp/script"
            # The host runs in a level, by init scripts, and lets them do what they are asked for.
            printf '#!/bin/sh\necho N 3\n' >"$3/sbin/runlevel"
            printf '#!/bin/sh\nexit 0\n' >"$3/usr/sbin/policy-rc.d"
            chmod 755 "$3/sbin/runlevel" "$3/usr/sbin/policy-rc.d"
            exec chroot "$3" bash /tmp/script </dev/null"#;
        let changes = self.0.path().join("changes");
        fs::create_dir_all(&changes).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"]);
        command.args(["bash", "-c", outer, "bash"]);
        command.args([base(), &changes, &self.0.path().join("root"), package(), &inner]);
        let Output { status, stdout, stderr } = command.output().unwrap();
        let said =
            [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(status.success() && said.contains("done"), "{said}");
    }
}

fn succeed(command: &mut Command, needs: &str) -> String {
    let output = command.output();
    let Output { status, stdout, stderr } = output.unwrap_or_else(|error| {
        panic!("{:?} can't be run: {error}; {needs}", command.get_program())
    });
    let [out, told] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(status.success(), "{command:?}\n{out}{told}");
    out
}

/// The package, made of the release build as for a user.
fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
        let mut make = Command::new("make");
        make.args(["-s", "deb"]).current_dir(project).env("CARGO", env!("CARGO"));
        succeed(&mut make, "ci/install-deps full");
        fs::create_dir_all(&folder).unwrap();
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("debian");
        let mut packages = fs::read_dir(&built).unwrap().map(|entry| entry.unwrap().path());
        let package = packages
            .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("sesame-knockd_"))
            .unwrap_or_else(|| panic!("no package in {}", built.display()));
        let kept = folder.join("sesame-knockd.deb");
        fs::copy(package, &kept).unwrap();
        kept
    })
}

/// The Debian that all tests start from, with the package knockd downloaded in it. It is made once,
/// and kept with what was built.
fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(SUITE);
        if folder.exists() {
            return folder;
        }
        let unfinished = folder.with_extension("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        let proxy = apt_proxy();
        let mut debootstrap = Command::new("debootstrap");
        debootstrap.args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE]);
        debootstrap.arg(&unfinished).arg(mirror());
        if let Some(proxy) = &proxy {
            debootstrap.env("http_proxy", proxy).env("https_proxy", proxy);
            let text = format!("Acquire::http::Proxy \"{proxy}\";\n");
            let apt = unfinished.join("etc/apt/apt.conf.d");
            fs::create_dir_all(&apt).unwrap();
            fs::write(apt.join("proxy"), text).unwrap();
        }
        succeed(&mut debootstrap, "ci/install-deps full");
        let mut apt = Command::new("chroot");
        apt.arg(&unfinished).args(["sh", "-c"]);
        apt.arg("apt-get -q update && apt-get -q -y --download-only install knockd");
        succeed(&mut apt, "");
        fs::rename(&unfinished, &folder).unwrap();
        folder
    })
}

/// Returns where this machine has its packages from, if it is a Debian of that release too.
fn mirror() -> String {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]);
    let targets = apt.output().map(|output| output.stdout).unwrap_or_default();
    let targets = String::from_utf8_lossy(&targets).into_owned();
    let uri = targets.lines().find_map(|line| line.strip_prefix(SUITE)?.strip_prefix(' '));
    uri.unwrap_or("http://deb.debian.org/debian").to_owned()
}

/// Returns the proxy that this machine's apt uses.
fn apt_proxy() -> Option<String> {
    let mut apt = Command::new("apt-config");
    let output = apt.args(["shell", "PROXY", "Acquire::http::Proxy"]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = text.trim().strip_prefix("PROXY='")?.strip_suffix('\'')?;
    (!value.is_empty()).then(|| value.to_owned())
}
