//! Commands in containers, and the URLs where bytes are streamed.

use std::time::Duration;

use tonic::Status;

use crate::cri::*;
use crate::server::{Runtime, internal, not_found};
use crate::shim::protocol::{Ended, ExecSpec, Request, STATUS, STDERR, STDOUT, read_frame};
use crate::stream::{Command, Forward, Session, Wants};

/// Output of ExecSync beyond this is dropped; the command does not notice (CVE-2022-1708).
const MAX_OUTPUT: usize = 16 << 20;

impl Runtime {
    pub async fn exec_sync(&self, request: ExecSyncRequest) -> Result<ExecSyncResponse, Status> {
        let (id, sandbox) = self.running(&request.container_id)?;
        if request.cmd.is_empty() {
            return Err(Status::invalid_argument("cmd is empty"));
        }
        let exec = ExecSpec { args: request.cmd, terminal: false, stdin: false, kill_on_close: true };
        let run = async {
            let (mut stream, _) =
                self.shim(&sandbox).open(&Request::Exec { id, exec }).await.map_err(internal)?;
            let mut response = ExecSyncResponse::default();
            while let Some((channel, bytes)) = read_frame(&mut stream).await.map_err(internal)? {
                match channel {
                    STDOUT => keep(&mut response.stdout, &bytes),
                    STDERR => keep(&mut response.stderr, &bytes),
                    STATUS => {
                        let ended: Ended = serde_json::from_slice(&bytes).map_err(internal)?;
                        response.exit_code = ended.code;
                        return Ok(response);
                    }
                    _ => {}
                }
            }
            Err(Status::unavailable("the shim went away while the command ran"))
        };
        if request.timeout <= 0 {
            return run.await;
        }
        let limit = Duration::from_secs(request.timeout.unsigned_abs());
        // Dropping the future closes the connection, which ends the command.
        tokio::time::timeout(limit, run).await.unwrap_or_else(|_| {
            let message =
                format!("failed to exec in container: timeout {limit:?} exceeded: context deadline exceeded");
            Err(Status::deadline_exceeded(message))
        })
    }

    pub async fn exec(&self, request: ExecRequest) -> Result<ExecResponse, Status> {
        let (id, sandbox) = self.running(&request.container_id)?;
        if request.cmd.is_empty() {
            return Err(Status::invalid_argument("cmd is empty"));
        }
        check_streams(request.tty, request.stdin, request.stdout, request.stderr)?;
        let exec =
            ExecSpec { args: request.cmd, terminal: request.tty, stdin: request.stdin, kill_on_close: false };
        let wants =
            Wants { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, tty: request.tty };
        let request = Request::Exec { id, exec };
        let session = Session::Command(Command { sandbox, request, wants, codes: true });
        Ok(ExecResponse { url: self.streams.url("exec", session).map_err(internal)? })
    }

    pub async fn attach(&self, request: AttachRequest) -> Result<AttachResponse, Status> {
        let (id, sandbox) = self.running(&request.container_id)?;
        check_streams(request.tty, request.stdin, request.stdout, request.stderr)?;
        let wants =
            Wants { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, tty: request.tty };
        let request = Request::Attach { id, stdin: request.stdin };
        let session = Session::Command(Command { sandbox, request, wants, codes: false });
        Ok(AttachResponse { url: self.streams.url("attach", session).map_err(internal)? })
    }

    pub async fn port_forward(&self, request: PortForwardRequest) -> Result<PortForwardResponse, Status> {
        let state = self.state();
        let pod = state.sandbox(&request.pod_sandbox_id);
        let pod = pod.ok_or_else(|| not_found("pod sandbox", &request.pod_sandbox_id))?;
        if !pod.ready {
            return Err(Status::failed_precondition(format!("pod sandbox {} is not running", pod.record.id)));
        }
        let ports = request.port.iter().filter_map(|port| u16::try_from(*port).ok()).collect();
        // Pods in the node's network are reached there.
        let netns = (!pod.record.host_network()).then(|| format!("/proc/{}/ns/net", pod.record.pause_pid));
        let session = Session::Forward(Forward { pod: pod.record.id.clone(), netns, ports });
        Ok(PortForwardResponse { url: self.streams.url("portforward", session).map_err(internal)? })
    }
}

fn check_streams(tty: bool, stdin: bool, stdout: bool, stderr: bool) -> Result<(), Status> {
    if tty && stderr {
        return Err(Status::invalid_argument("tty and stderr cannot both be true"));
    }
    if !(stdin || stdout || stderr) {
        return Err(Status::invalid_argument("one of stdin, stdout, or stderr must be set"));
    }
    Ok(())
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = MAX_OUTPUT - kept.len();
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}
