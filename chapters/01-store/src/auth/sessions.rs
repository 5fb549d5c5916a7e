//! Tokens, and what services need to know of authentication without asking the loop.
//!
//! A token is random letters and the index of the command that gave it. The command is applied on every
//! member, so each knows the token, sooner or later; one that has not come so far waits when it is
//! shown a token from its future. Who is to have it and for how long is nowhere on disk, only that it
//! was given: a member that reads its log anew gives it for another while, and one that does not,
//! because there is a snapshot, knows it no more. Then clients authenticate anew, which etcd's do by
//! themselves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Extensions, HeaderMap};
use tokio::sync::watch;

use super::Peer;
use crate::heart::Store;
use crate::heart::auth::{AuthCommand, AuthError, Caller};

/// How long a token from the future is waited for.
const FUTURE: Duration = Duration::from_secs(5);
/// Tokens that are kept before those that have run out are looked for.
const SWEEP: usize = 64;
/// Of a token's random part: 16 of 52 letters are as good as 91 bits.
const LETTERS: usize = 16;
const ALPHABET: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Written by the loop, read by the services.
#[derive(Debug)]
pub struct Sessions {
    enabled: AtomicBool,
    revision: AtomicU64,
    /// Index of the last command that was applied; kept up while authentication is on.
    applied: watch::Sender<u64>,
    tokens: Mutex<Tokens>,
    ttl: Duration,
}

#[derive(Debug, Default)]
struct Tokens {
    tokens: HashMap<String, Token>,
    /// When there are so many, those that have run out are removed. Then there are as many as clients
    /// had reason for within their time to live, each at the cost of a password's hash.
    sweep_at: usize,
}

#[derive(Debug)]
struct Token {
    user: Arc<str>,
    ends: Instant,
}

/// How a client says who it is.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    token: Option<String>,
    common_name: Option<Arc<str>>,
}

impl Credentials {
    pub fn of(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let token = headers.get("token").or_else(|| headers.get(http::header::AUTHORIZATION));
        let peer = extensions.get::<Peer>();
        Credentials {
            // What is no text is no token that was ever given, but it is one that was shown.
            token: token.map(|token| token.to_str().unwrap_or_default().to_owned()),
            common_name: peer.and_then(|peer| peer.common_name.clone()),
        }
    }
}

impl Sessions {
    pub fn new(store: &Store, applied: u64, ttl: Duration) -> Self {
        Sessions {
            enabled: AtomicBool::new(store.auth().is_enabled()),
            revision: AtomicU64::new(store.auth().revision()),
            applied: watch::Sender::new(applied),
            tokens: Mutex::default(),
            ttl,
        }
    }

    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    /// Who that is; nobody, without credentials. A token that is used lives on.
    pub async fn caller(&self, credentials: &Credentials) -> Result<Option<Caller>, AuthError> {
        if !self.is_enabled() {
            return Ok(None);
        }
        let user = match &credentials.token {
            Some(token) => Some(self.user(token).await.ok_or(AuthError::InvalidToken)?),
            None => credentials.common_name.clone(),
        };
        let revision = self.revision.load(Ordering::Acquire);
        Ok(user.map(|user| Caller { user, revision }))
    }

    async fn user(&self, token: &str) -> Option<Arc<str>> {
        let (_, index) = token.split_once('.')?;
        let index: u64 = index.parse().ok()?;
        let mut applied = self.applied.subscribe();
        let known = tokio::time::timeout(FUTURE, applied.wait_for(|applied| *applied >= index)).await;
        known.ok()?.ok()?;
        self.tokens().renew(token, self.ttl)
    }

    /// The token that begins so, which was just given.
    pub fn token(&self, prefix: &str) -> Option<String> {
        let begins = |token: &&String| token.split_once('.').is_some_and(|(letters, _)| letters == prefix);
        self.tokens().tokens.keys().find(begins).cloned()
    }

    /// A change of users was applied, and the store has it.
    pub fn handle_applied(&self, command: &AuthCommand, store: &Store, index: u64) {
        match command {
            AuthCommand::Authenticate { user, token, .. } => {
                self.tokens().give(format!("{token}.{index}"), user.as_str().into(), self.ttl);
            }
            AuthCommand::UserDelete { user } | AuthCommand::UserChangePassword { user, .. } => {
                self.tokens().tokens.retain(|_, token| *token.user != **user);
            }
            AuthCommand::Disable => *self.tokens() = Tokens::default(),
            _ => {}
        }
        self.revision.store(store.auth().revision(), Ordering::Release);
        self.enabled.store(store.auth().is_enabled(), Ordering::Release);
    }

    /// The loop has come so far.
    pub fn handle_index(&self, index: u64) {
        if self.is_enabled() {
            self.applied.send_replace(index);
        }
    }

    /// The store is another one. Tokens may have been given in between, and users deleted.
    pub fn handle_restored(&self, store: &Store, applied: u64) {
        *self.tokens() = Tokens::default();
        self.revision.store(store.auth().revision(), Ordering::Release);
        self.enabled.store(store.auth().is_enabled(), Ordering::Release);
        self.handle_index(applied);
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        // Nothing is half done when the lock is free.
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    fn give(&mut self, token: String, user: Arc<str>, ttl: Duration) {
        let now = Instant::now();
        if self.tokens.len() >= self.sweep_at {
            self.tokens.retain(|_, token| token.ends > now);
            self.sweep_at = SWEEP.max(self.tokens.len() * 2);
        }
        self.tokens.insert(token, Token { user, ends: now + ttl });
    }

    fn renew(&mut self, token: &str, ttl: Duration) -> Option<Arc<str>> {
        let now = Instant::now();
        let token = self.tokens.get_mut(token).filter(|token| token.ends > now)?;
        token.ends = now + ttl;
        Some(token.user.clone())
    }
}

/// The random part of a token.
pub fn letters() -> Option<String> {
    let provider = rustls::crypto::ring::default_provider();
    let mut letters = String::new();
    while letters.len() < LETTERS {
        let mut bytes = [0; 2 * LETTERS];
        provider.secure_random.fill(&mut bytes).ok()?;
        // Without those at the end every letter is as likely as any other.
        let fair = bytes.iter().filter(|byte| **byte < 208).map(|byte| ALPHABET[usize::from(byte % 52)]);
        let missing = LETTERS - letters.len();
        letters.extend(fair.map(char::from).take(missing));
    }
    Some(letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heart::Command;

    /// A store with authentication on, and ann's token of it.
    fn session(ttl: Duration) -> (Sessions, String) {
        let mut store = Store::new();
        let (user, role) = (|| "root".to_string(), || "root".to_string());
        let sessions = Sessions::new(&store, 0, ttl);
        let commands = [
            AuthCommand::UserAdd { user: user(), password: Some("hash".into()) },
            AuthCommand::UserGrantRole { user: user(), role: role() },
            AuthCommand::Enable,
            AuthCommand::Authenticate { user: user(), token: "abc".into(), revision: 3 },
        ];
        for (command, index) in commands.into_iter().zip(1..) {
            store.apply(&Command::Auth(command.clone())).answer.expect("done");
            sessions.handle_applied(&command, &store, index);
            sessions.handle_index(index);
        }
        let token = sessions.token("abc").expect("given");
        (sessions, token)
    }

    fn with(token: &str) -> Credentials {
        Credentials { token: Some(token.into()), common_name: None }
    }

    #[tokio::test]
    async fn a_token_is_good_for_its_time() {
        let (sessions, token) = session(Duration::from_secs(300));
        let caller = sessions.caller(&with(&token)).await.expect("it is good").expect("somebody");
        assert_eq!((&*caller.user, caller.revision), ("root", 3));
        let (sessions, token) = session(Duration::ZERO);
        assert_eq!(sessions.caller(&with(&token)).await, Err(AuthError::InvalidToken));
    }

    #[tokio::test]
    async fn a_token_of_the_future_is_waited_for() {
        let (sessions, _) = session(Duration::from_secs(300));
        let sessions = Arc::new(sessions);
        let asked = tokio::spawn({
            let sessions = sessions.clone();
            async move { sessions.caller(&with("def.9")).await }
        });
        tokio::task::yield_now().await;
        sessions.tokens().give("def.9".into(), "ann".into(), Duration::from_secs(300));
        sessions.handle_index(9);
        let caller = asked.await.expect("no panic").expect("it came").expect("somebody");
        assert_eq!(&*caller.user, "ann");
    }

    #[test]
    fn tokens_that_have_run_out_do_not_pile_up() {
        let mut tokens = Tokens::default();
        for n in 0..10_000 {
            tokens.give(format!("{n}"), "ann".into(), Duration::ZERO);
        }
        assert!(tokens.tokens.len() <= SWEEP);
    }

    #[test]
    fn letters_are_letters_and_never_the_same() {
        let (a, b) = (letters().expect("random"), letters().expect("random"));
        assert!(a.len() == LETTERS && a.bytes().all(|b| b.is_ascii_alphabetic()));
        assert_ne!(a, b);
    }
}
