//! `kubectl port-forward`, and a client for what is behind it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use crate::PATIENCE;

/// A running `kubectl port-forward`, ended when dropped.
pub struct PortForward {
    child: Child,
    /// What it says on either output, line by line.
    lines: Receiver<String>,
    /// The ports here, in the order of those there.
    pub ports: Vec<u16>,
}

impl PortForward {
    /// Starts `kubectl ... port-forward POD :80 :81`, which is to name `count` ports of its own.
    pub fn start(mut command: Command, count: usize) -> PortForward {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
        let (sender, lines) = sync_channel(64);
        let outputs: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("its output is a pipe")),
            Box::new(child.stderr.take().expect("its errors are a pipe")),
        ];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        let mut forward = PortForward { child, lines, ports: Vec::new() };
        while forward.ports.len() < count {
            // (It listens on [::1] too, where there is one, and says so.)
            let line = forward.line_with("Forwarding from 127.0.0.1:");
            let port = line.split([':', ' ']).find_map(|word| word.parse().ok());
            forward.ports.push(port.unwrap_or_else(|| panic!("no port in {line:?}")));
        }
        forward
    }

    /// The next line in which `text` occurs.
    #[track_caller]
    pub fn line_with(&self, text: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        panic!("kubectl port-forward said nothing with {text:?}, but {seen:#?}");
    }

    /// A connection to the `at`th port.
    pub fn connect(&self, at: usize) -> TcpStream {
        let connection = TcpStream::connect(("127.0.0.1", self.ports[at])).expect("kubectl listens");
        connection.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        connection
    }

    /// What a web server behind the `at`th port answers to three clients that talk at once: each has
    /// sent half of its question before the first of them sends the rest.
    pub fn three_answers(&self, at: usize) -> Vec<String> {
        let mut clients: Vec<TcpStream> = (0..3).map(|_| self.connect(at)).collect();
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n").expect("kubectl reads");
        }
        let last = clients.iter_mut().rev().map(|client| {
            client.write_all(b"Connection: close\r\n\r\n").expect("kubectl reads");
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("an answer, and its end");
            answer
        });
        last.collect()
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
