//! Values to bytes and back: numbers as LEB128, bytes and words with their length before them.

use crate::error::Error;
use crate::types::{Change, Peer};

#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
}

impl Writer {
    pub(crate) fn u64(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.out.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
    }

    pub(crate) fn str(&mut self, word: &str) {
        self.u64(word.len() as u64);
        self.out.extend_from_slice(word.as_bytes());
    }

    pub(crate) fn strs(&mut self, words: &[String]) {
        self.u64(words.len() as u64);
        words.iter().for_each(|word| self.str(word));
    }

    pub(crate) fn peer(&mut self, peer: &Peer) {
        self.u64(peer.id);
        self.str(&peer.name);
        self.strs(&peer.peer_urls);
        self.strs(&peer.client_urls);
        self.u64(u64::from(peer.learner));
    }

    pub(crate) fn change(&mut self, change: &Change) {
        match change {
            Change::Add(peer) => {
                self.u64(1);
                self.peer(peer);
            }
            Change::Remove(id) => {
                self.u64(2);
                self.u64(*id);
            }
            Change::Promote(id) => {
                self.u64(3);
                self.u64(*id);
            }
            Change::Update { id, peer_urls } => {
                self.u64(4);
                self.u64(*id);
                self.strs(peer_urls);
            }
            Change::Publish { id, name, client_urls } => {
                self.u64(5);
                self.u64(*id);
                self.str(name);
                self.strs(client_urls);
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(|| malformed("it ends too early"))?;
            self.rest = rest;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(malformed("a number is too long"))
    }

    pub(crate) fn str(&mut self) -> Result<String, Error> {
        let len = usize::try_from(self.u64()?).ok().filter(|len| *len <= self.rest.len());
        let (word, rest) = self.rest.split_at(len.ok_or_else(|| malformed("a word ends too early"))?);
        self.rest = rest;
        String::from_utf8(word.to_vec()).map_err(|_| malformed("a word is not UTF-8"))
    }

    /// Memory is taken as items come, not as the count claims.
    pub(crate) fn list<T>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let count = self.u64()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(each(self)?);
        }
        Ok(items)
    }

    pub(crate) fn peer(&mut self) -> Result<Peer, Error> {
        Ok(Peer {
            id: self.u64()?,
            name: self.str()?,
            peer_urls: self.list(Self::str)?,
            client_urls: self.list(Self::str)?,
            learner: self.u64()? != 0,
        })
    }

    pub(crate) fn change(&mut self) -> Result<Change, Error> {
        match self.u64()? {
            1 => Ok(Change::Add(self.peer()?)),
            2 => Ok(Change::Remove(self.u64()?)),
            3 => Ok(Change::Promote(self.u64()?)),
            4 => Ok(Change::Update { id: self.u64()?, peer_urls: self.list(Self::str)? }),
            5 => {
                Ok(Change::Publish { id: self.u64()?, name: self.str()?, client_urls: self.list(Self::str)? })
            }
            _ => Err(malformed("an unknown change of members")),
        }
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed("there is something behind the end")) }
    }
}

pub(crate) fn malformed(why: &str) -> Error {
    Error::Malformed(why.to_owned())
}
