//! The binary as a user starts it: a scenario file, a key in the environment, a run directory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The key that every service of the tests is given. It must never be seen anywhere else.
pub(crate) const KEY: &str = "user.canary-Zk3v9QxW";
/// The variable in which it is.
pub(crate) const KEY_NAME: &str = "PLIMSOLL_TEST_KEY";

/// The part that every scenario of the tests begins with. No machine is too slow for it.
pub(crate) fn head(url: &str) -> String {
    format!(
        "name = \"test\"\nseed = 11\n\
         [target]\nbase_url = \"{url}\"\napi_key = \"env:{KEY_NAME}\"\n\
         [validity]\nschedule_lag_p99 = \"30s\"\ncpu_share = 1\n"
    )
}

/// A folder with a scenario in it, in which the binary is started.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn new(scenario: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("scenario.toml"), scenario).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The run directory.
    pub(crate) fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// Neither what was said nor any file of the folder holds a secret.
    pub(crate) fn check_shows_nowhere(&self, secret: &str, said: &Said) {
        let shown = format!("{}{}", said.stdout, said.stderr);
        assert!(!shown.contains(secret), "{shown}");
        let mut folders = vec![self.path(".")];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                let place = path.display();
                assert!(!text.contains(secret), "the secret is in {place}: {text}");
            }
        }
    }

    /// `plimsoll run`, ready to be started, into the run directory.
    pub(crate) fn run(&self) -> Command {
        let mut command = self.command(&["run", "scenario.toml", "--out", "out"]);
        command.env(KEY_NAME, KEY);
        command
    }

    /// The binary with these arguments, and an environment of nothing.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command
            .args(arguments)
            .env_clear()
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }
}

/// What a command said, once it has ended.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Said {
    /// It ended with this code, and its error output holds all of these.
    pub(crate) fn check(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in {self:#?}");
        }
    }
}

/// A run that goes on.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    /// Reads its error output up to a line that begins so: the run has come that far.
    pub(crate) fn wait_for(&mut self, beginning: &str) {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let length = self.lines.read_line(&mut line).unwrap();
            assert!(length > 0, "no line begins {beginning:?} in {seen}");
            if line.starts_with(beginning) {
                return;
            }
            seen.push_str(&line);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, once it has ended; none if a signal ended it.
    pub(crate) fn code(mut self) -> Option<i32> {
        // What is left of the error output is read, or the run might wait for us.
        std::io::copy(&mut self.lines, &mut std::io::sink()).unwrap();
        self.child.wait().unwrap().code()
    }
}
