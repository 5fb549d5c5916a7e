//! Who this member is: a small file in the data directory, written anew at each start.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use store::heart::codec::{Decoder, Encoder, Malformed};
use store::heart::wal::{self, Frames, Kind, Next};

use crate::heart::types::Peer;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub cluster: u64,
    pub id: u64,
    /// How often this member was started.
    pub life: u64,
    /// The cluster's first members, if this is one of them: they come first in its log. Who joins has
    /// them from the others.
    pub first_members: Vec<Peer>,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("member")
}

/// `None`: this directory was not yet used by a cluster's member.
pub fn read(dir: &Path) -> anyhow::Result<Option<Identity>> {
    let path = path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| path.display().to_string()),
    };
    let identity = match Frames::new(&bytes).next_frame() {
        Ok(Next::Frame { kind: Kind::Raft, payload }) => decode(payload).map_err(anyhow::Error::from),
        Ok(_) => Err(anyhow::anyhow!("it is not whole")),
        Err(damage) => Err(damage.into()),
    };
    let advice = "who this member is cannot be read: put the file back from a copy, or remove the member, \
        move its data directory away and add it anew";
    identity.map(Some).with_context(|| format!("{}: {advice}", path.display()))
}

/// Replaces what was there, as a whole, and waits for the disk.
pub fn write(dir: &Path, identity: &Identity) -> anyhow::Result<()> {
    let (path, unfinished) = (path(dir), dir.join("member.tmp"));
    let mut bytes = Vec::new();
    wal::encode(&mut bytes, 0, Kind::Raft, &encode(identity));
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(dir)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn encode(identity: &Identity) -> Vec<u8> {
    let mut e = Encoder::default();
    e.u64(identity.cluster);
    e.u64(identity.id);
    e.u64(identity.life);
    let text = |e: &mut Encoder, text: &String| e.bytes(text.as_bytes());
    e.list(&identity.first_members, |e, peer| {
        e.u64(peer.id);
        text(e, &peer.name);
        e.list(&peer.peer_urls, text);
        e.list(&peer.client_urls, text);
        e.bool(peer.learner);
    });
    e.out
}

fn decode(payload: &[u8]) -> Result<Identity, Malformed> {
    fn text(d: &mut Decoder<'_>) -> Result<String, Malformed> {
        let text = std::str::from_utf8(d.slice()?).map_err(|_| Malformed("a name is not text"))?;
        Ok(text.to_owned())
    }
    let mut d = Decoder::new(payload);
    let (cluster, id, life) = (d.u64()?, d.u64()?, d.u64()?);
    let first_members = d.list(|d| {
        Ok(Peer {
            id: d.u64()?,
            name: text(d)?,
            peer_urls: d.list(text)?,
            client_urls: d.list(text)?,
            learner: d.bool()?,
        })
    })?;
    d.finish()?;
    Ok(Identity { cluster, id, life, first_members })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_damage_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(read(dir.path()).expect("nothing"), None);
        let peer = Peer { id: 7, name: "a".into(), peer_urls: vec!["http://h:1".into()], ..Peer::default() };
        let mut identity = Identity { cluster: 5, id: 7, life: 1, first_members: vec![peer] };
        write(dir.path(), &identity).expect("written");
        identity.life = 2;
        write(dir.path(), &identity).expect("written again");
        assert_eq!(read(dir.path()).expect("read"), Some(identity));
        let mut bytes = fs::read(path(dir.path())).expect("bytes");
        bytes[20] ^= 1;
        fs::write(path(dir.path()), &bytes).expect("damaged");
        assert!(read(dir.path()).is_err());
        fs::write(path(dir.path()), b"").expect("emptied");
        assert!(read(dir.path()).is_err());
    }
}
