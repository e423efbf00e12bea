//! A headless Chromium, spoken to by the DevTools protocol over a pipe.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A browser of a test's own.
pub(crate) struct Chromium {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    next: u64,
    /// What came while an answer was waited for.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// A page in it.
pub(crate) struct Page<'a> {
    browser: &'a mut Chromium,
    session: String,
}

impl Chromium {
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Starts it. The browser finds its end of the pipe at file descriptors 3 and 4, where a shell
    /// puts what this program has at 0 and 1.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", "chromium"]);
        command.args([
            "--headless",
            // Tests run as root in containers, where the sandbox can't.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--disable-sync",
            "--disable-extensions",
            "--disable-component-update",
            "--disable-background-networking",
            "--no-first-run",
            "--force-color-profile=srgb",
            "--lang=en-US",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let is_there = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join("chromium").is_file())
        });
        assert!(
            is_there,
            "chromium is not installed, and without it nobody knows whether the page works: \
             apt-get install chromium (ci/install-deps test does)"
        );
        let mut child = command.spawn().unwrap();
        let to = child.stdin.take().unwrap();
        let from = listen(child.stdout.take().unwrap());
        Self { child, to, from, next: 0, events: Vec::new(), _profile: profile }
    }

    /// Opens an empty page of this size.
    pub(crate) fn page(&mut self, (width, height): (u32, u32)) -> Page<'_> {
        let target = self.call(None, "Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call(None, "Target.attachToTarget", &attach);
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        let mut page = Page { browser: self, session };
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page.resize((width, height));
        page
    }

    fn call(&mut self, session: Option<&str>, method: &str, params: &Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        let until = Instant::now() + Self::PATIENCE;
        loop {
            let message = self.receive(until, method);
            if message["id"] == self.next {
                assert!(message.get("error").is_none(), "{method} {params}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn receive(&mut self, until: Instant, what: &str) -> Value {
        match self.from.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => panic!("chromium does not answer: {what}"),
            Err(RecvTimeoutError::Disconnected) => {
                panic!("chromium ended: {:?} ({what})", self.child.wait())
            }
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Where a test failed, an answer need not come.
        let close = b"{\"id\":0,\"method\":\"Browser.close\"}\0";
        let _ = self.to.write_all(close);
        while self.from.recv_timeout(Duration::from_secs(5)).is_ok() {}
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads messages on a thread of its own, so that waiting for one can end.
fn listen(from: ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for message in BufReader::new(from).split(0) {
            let Ok(message) = message else { return };
            let message = serde_json::from_slice(&message).unwrap();
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Page<'_> {
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.browser.call(Some(&self.session), method, params)
    }

    pub(crate) fn resize(&mut self, (width, height): (u32, u32)) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Opens a file, and waits until it is there. Returns how long that took.
    pub(crate) fn open(&mut self, path: &Path) -> Duration {
        self.browser.events.clear();
        let begin = Instant::now();
        self.call("Page.navigate", &json!({"url": format!("file://{}", path.display())}));
        self.wait_for("Page.loadEventFired");
        // The first frame has been drawn where a second one is asked for.
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))");
        begin.elapsed()
    }

    fn wait_for(&mut self, method: &str) {
        let until = Instant::now() + Chromium::PATIENCE;
        while !self.browser.events.iter().any(|event| event["method"] == method) {
            let event = self.browser.receive(until, method);
            self.browser.events.push(event);
        }
    }

    /// Returns all events of this name since the page was opened.
    pub(crate) fn events(&mut self, method: &str) -> Vec<Value> {
        // An answer comes behind all events before it.
        self.value("1");
        let events = self.browser.events.iter();
        events.filter(|event| event["method"] == method).cloned().collect()
    }

    /// Returns what an expression comes to.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", &params);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?}).innerText"));
        text.as_str().unwrap_or_else(|| panic!("no text at {selector}")).to_owned()
    }

    pub(crate) fn number(&mut self, expression: &str) -> u64 {
        let value = self.value(expression);
        value.as_u64().unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// Presses and releases a key, by its name.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "PageDown" => 34,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            other => panic!("no key {other}"),
        };
        let mut event =
            json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code});
        if key == "Enter" {
            event["text"] = "\r".into();
        }
        self.call("Input.dispatchKeyEvent", &event);
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", &event);
    }

    /// Types text where the focus is.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// Makes the page believe in a medium (`print`, or the screen) and a colour scheme.
    pub(crate) fn emulate(&mut self, medium: &str, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        let params = json!({"media": medium, "features": [feature]});
        self.call("Emulation.setEmulatedMedia", &params);
    }

    /// Returns the accessibility tree's nodes as role and name, but for those it ignores.
    pub(crate) fn accessible(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().unwrap().iter();
        let told = nodes.filter(|node| node["ignored"] == false);
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        told.map(|node| (text(&node["role"]), text(&node["name"]))).collect()
    }

    /// Puts a picture of the page where `KNOCK_SHOTS` names a folder, for somebody to look at.
    pub(crate) fn shoot(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("KNOCK_SHOTS") else { return };
        let shot = self.call("Page.captureScreenshot", &json!({"format": "png"}));
        write_decoded(&Path::new(&folder).join(format!("{name}.png")), &shot);
    }

    /// Prints the page. Returns the PDF's bytes, encoded.
    pub(crate) fn print(&mut self, name: &str) -> usize {
        let pdf = self.call("Page.printToPDF", &json!({"printBackground": true}));
        if let Some(folder) = std::env::var_os("KNOCK_SHOTS") {
            write_decoded(&Path::new(&folder).join(format!("{name}.pdf")), &pdf);
        }
        pdf["data"].as_str().unwrap().len()
    }
}

fn write_decoded(path: &Path, answer: &Value) {
    use base64::Engine as _;
    let bytes = base64::prelude::BASE64_STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
