//! A terminal that hands over each key as it is pressed, and is itself again whatever happens.

use std::io::{IsTerminal, Read};

use anyhow::Result;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

pub struct Keyboard {
    before: Termios,
}

impl Keyboard {
    /// Keys at once, not shown; Ctrl-C comes as a key like any other, so that it cannot end us between.
    /// `None` where nobody sits in front.
    pub fn take() -> Result<Option<Self>> {
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(std::io::stdin())?;
        let mut now = before.clone();
        now.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG | LocalFlags::IEXTEN);
        tcsetattr(std::io::stdin(), SetArg::TCSANOW, &now)?;
        // Also where a panic aborts.
        let plain: nix::libc::termios = before.clone().into();
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &plain.into());
            usual(panic);
        }));
        Ok(Some(Self { before }))
    }

    /// The next key; waits for it. `None` when the terminal is gone.
    pub fn read() -> Option<u8> {
        let mut key = [0];
        let length = std::io::stdin().lock().read(&mut key).ok()?;
        (length > 0).then_some(key[0])
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
