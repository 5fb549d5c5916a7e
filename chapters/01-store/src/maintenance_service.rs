//! The Maintenance service.

use std::pin::Pin;

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request as Call, Response, Status};

use crate::auth::caller;
use crate::convert::status;
use crate::etcd::{self, maintenance_server};
use crate::heart::alarm::{Alarm, AlarmKind};
use crate::heart::snapshot::Snapshot;
use crate::heart::{Answer, Command, Error};
use crate::request::Request;
use crate::saved;
use crate::service::{Answered, Service, mismatch};

/// The API that is served: clients turn features on by it.
const VERSION: &str = "3.5.21";
/// Pieces of a snapshot on their way to the client.
const SNAPSHOT_PIECES: usize = 4;

type SnapshotStream = Pin<Box<dyn Stream<Item = Result<etcd::SnapshotResponse, Status>> + Send>>;

#[tonic::async_trait]
impl maintenance_server::Maintenance for Service {
    async fn alarm(&self, call: Call<etcd::AlarmRequest>) -> Answered<etcd::AlarmResponse> {
        use etcd::alarm_request::AlarmAction;
        let (caller, asked) = (caller(&call), call.into_inner());
        let kind = kind(asked.alarm());
        let change = |raise| async move {
            let root = caller.clone();
            self.local().look(true, move |store| Ok(store.auth().check_root(root.as_ref())?)).await?;
            // No kind: there is nothing to raise, or to take back.
            let Some(kind) = kind else { return Ok((self.server_status().await?.revision, None)) };
            let alarm = Alarm { member: asked.member_id, kind };
            match self.write(caller, Command::Alarm { alarm, raise }, 0).await? {
                Answer::Alarm { revision, alarm } => Ok((revision, alarm)),
                _ => Err(mismatch()),
            }
        };
        let (revision, alarms) = match asked.action() {
            AlarmAction::Get => {
                let status = self.server_status().await?;
                let wanted = |alarm: &Alarm| kind.is_none_or(|kind| kind == alarm.kind);
                (status.revision, status.alarms.into_iter().filter(wanted).collect())
            }
            AlarmAction::Activate => change(true).await.map(|(r, alarm)| (r, Vec::from_iter(alarm)))?,
            AlarmAction::Deactivate => change(false).await.map(|(r, alarm)| (r, Vec::from_iter(alarm)))?,
        };
        let alarms = alarms.iter().map(alarm_member).collect();
        Ok(Response::new(etcd::AlarmResponse { header: self.answers().header(revision), alarms }))
    }

    async fn status(&self, _: Call<etcd::StatusRequest>) -> Answered<etcd::StatusResponse> {
        let status = self.server_status().await?;
        let answers = self.answers();
        let leader = self.identity.leader();
        let applied = self.identity.standing.applied(status.applied);
        let no_leader = (leader == 0).then(|| "etcdserver: no leader".to_owned());
        let alarms = status.alarms.iter().map(|alarm| {
            let etcd::AlarmMember { member_id, .. } = alarm_member(alarm);
            format!("memberID:{member_id} alarm:{} ", name(alarm.kind))
        });
        Ok(Response::new(etcd::StatusResponse {
            header: answers.header(status.revision),
            version: VERSION.into(),
            db_size: status.disk_bytes as i64,
            leader,
            raft_index: applied,
            raft_term: answers.raft_term,
            raft_applied_index: applied,
            errors: no_leader.into_iter().chain(alarms).collect(),
            db_size_in_use: status.data_bytes as i64,
            is_learner: self.peers.is_learner(),
            storage_version: String::new(),
            db_size_quota: self.limits.quota_bytes.unwrap_or(0) as i64,
        }))
    }

    async fn defragment(&self, _: Call<etcd::DefragmentRequest>) -> Answered<etcd::DefragmentResponse> {
        let revision = self.ask(Request::Defragment).await?;
        Ok(Response::new(etcd::DefragmentResponse { header: self.answers().header(revision) }))
    }

    async fn hash(&self, _: Call<etcd::HashRequest>) -> Answered<etcd::HashResponse> {
        let (snapshot, hash) = self.hash_of(0).await?;
        Ok(Response::new(etcd::HashResponse { header: self.answers().header(snapshot.revision), hash }))
    }

    async fn hash_kv(&self, call: Call<etcd::HashKvRequest>) -> Answered<etcd::HashKvResponse> {
        let asked = call.get_ref().revision;
        let (snapshot, hash) = self.hash_of(asked).await?;
        Ok(Response::new(etcd::HashKvResponse {
            header: self.answers().header(snapshot.revision),
            hash,
            compact_revision: snapshot.compacted,
            hash_revision: if asked == 0 { snapshot.revision } else { asked },
        }))
    }

    type SnapshotStream = SnapshotStream;

    async fn snapshot(&self, _: Call<etcd::SnapshotRequest>) -> Answered<Self::SnapshotStream> {
        let snapshot = self.ask(Request::Snapshot).await?;
        let header = self.answers().header(snapshot.revision);
        let (piece, pieces) = mpsc::channel(SNAPSHOT_PIECES);
        tokio::task::spawn_blocking(move || {
            let mut left: u64 = saved::blobs(&snapshot).map(|b| b.len() as u64).sum();
            for blob in saved::blobs(&snapshot) {
                left -= blob.len() as u64;
                let blob = etcd::SnapshotResponse {
                    header,
                    remaining_bytes: left,
                    blob: blob.into(),
                    version: VERSION.into(),
                };
                if piece.blocking_send(Ok(blob)).is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(pieces))))
    }

    async fn move_leader(&self, call: Call<etcd::MoveLeaderRequest>) -> Answered<etcd::MoveLeaderResponse> {
        self.peers.move_leader(call.get_ref().target_id).await?;
        Ok(Response::new(etcd::MoveLeaderResponse { header: self.header().await? }))
    }
}

fn kind(alarm: etcd::AlarmType) -> Option<AlarmKind> {
    match alarm {
        etcd::AlarmType::None => None,
        etcd::AlarmType::Nospace => Some(AlarmKind::NoSpace),
        etcd::AlarmType::Corrupt => Some(AlarmKind::Corrupt),
    }
}

fn name(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::NoSpace => "NOSPACE",
        AlarmKind::Corrupt => "CORRUPT",
    }
}

fn alarm_member(alarm: &Alarm) -> etcd::AlarmMember {
    etcd::AlarmMember { member_id: alarm.member, alarm: alarm.kind as i32 }
}

impl Service {
    /// A hash of what is remembered up to a revision, 0 being now.
    async fn hash_of(&self, revision: i64) -> Result<(Snapshot, u32), Status> {
        let snapshot = self.ask(Request::Snapshot).await?;
        if revision > snapshot.revision {
            return Err(status(Error::FutureRevision));
        }
        if revision != 0 && revision < snapshot.compacted {
            return Err(status(Error::Compacted));
        }
        let upto = if revision == 0 { snapshot.revision } else { revision };
        let hashed = tokio::task::spawn_blocking(move || {
            let hash = snapshot.hash(upto);
            (snapshot, hash)
        });
        hashed.await.map_err(|e| Status::internal(e.to_string()))
    }
}
