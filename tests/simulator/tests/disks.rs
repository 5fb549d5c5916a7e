//! A disk keeps what was synced, and nothing else can be relied on.

use simulator::disk::{Disk, Full, SECTOR, Target};
use simulator::random::Random;

fn file(name: &str) -> Target {
    Target::File(name.into())
}

#[test]
fn what_was_synced_survives_every_crash_and_the_rest_may_be_torn() {
    let safe = vec![1; 700];
    let written = vec![2; 3 * SECTOR];
    let (mut all, mut none, mut torn, mut short) = (0, 0, 0, 0);
    for seed in 0..500 {
        let mut disk = Disk::default();
        disk.append("log", &safe).unwrap();
        disk.sync_all();
        disk.append("log", &written).unwrap();
        disk.fail(&mut Random::new(seed));
        let bytes = disk.read("log").unwrap().to_vec();
        assert_eq!(bytes[..700], safe, "seed {seed}");
        let rest = &bytes[700..];
        assert!(rest.iter().all(|b| *b == 0 || *b == 2), "seed {seed}");
        for (at, pair) in rest.windows(2).enumerate() {
            let border = (700 + at + 1) % SECTOR == 0;
            assert!(pair[0] == pair[1] || border, "seed {seed}: torn within a sector");
        }
        match rest {
            [] => none += 1,
            rest if rest == written => all += 1,
            rest if rest.contains(&0) => torn += 1,
            _ => short += 1,
        }
        let again = bytes.clone();
        disk.fail(&mut Random::new(seed + 1));
        assert_eq!(disk.read("log").unwrap(), again, "what is there after a crash stays");
    }
    assert!(all > 50 && none > 50 && torn > 50 && short > 10, "{all} {none} {torn} {short}");
}

#[test]
fn a_name_is_safe_when_the_names_were_synced() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..100 {
        let mut disk = Disk::default();
        disk.append("a", b"old").unwrap();
        disk.sync_all();
        disk.append("a.tmp", b"new").unwrap();
        disk.sync(&file("a.tmp"));
        disk.rename("a.tmp", "a");
        if seed % 2 == 1 {
            disk.sync(&Target::Names);
        }
        disk.fail(&mut Random::new(seed));
        match disk.read("a").unwrap() {
            b"old" => old += 1,
            b"new" => new += 1,
            other => panic!("neither old nor new: {other:?}"),
        }
        assert!(seed % 2 == 0 || disk.read("a") == Some(b"new"), "seed {seed}");
    }
    assert!(old > 5 && new > 55, "{old} {new}");
}

#[test]
fn a_sync_covers_what_was_written_before_it_began() {
    for seed in 0..100 {
        let mut disk = Disk::default();
        disk.append("log", b"first").unwrap();
        disk.sync(&Target::Names);
        let sync = disk.begin_sync(&file("log"));
        disk.append("log", b"second").unwrap();
        disk.end_sync(sync);
        disk.fail(&mut Random::new(seed));
        assert_eq!(disk.read("log").unwrap()[..5], *b"first", "seed {seed}");
    }
}

#[test]
fn cutting_and_writing_anew_is_old_or_new_by_sectors() {
    for seed in 0..200 {
        let mut disk = Disk::default();
        disk.append("log", &[1; 2000]).unwrap();
        disk.sync_all();
        disk.truncate("log", 600);
        disk.append("log", &[2; 900]).unwrap();
        let mut crashed = disk.clone();
        crashed.fail(&mut Random::new(seed));
        let bytes = crashed.read("log").unwrap();
        assert!(bytes.len() >= 1500 || bytes[..600] == [1; 600], "seed {seed}");
        assert_eq!(bytes[..600], [1; 600], "seed {seed}");
        disk.sync(&file("log"));
        disk.fail(&mut Random::new(seed));
        assert_eq!(disk.read("log").unwrap(), [[1; 600].as_slice(), &[2; 900]].concat());
    }
}

#[test]
fn a_full_disk_takes_a_part_and_says_so() {
    let mut disk = Disk::default();
    disk.set_full(true);
    assert_eq!(disk.append("log", b"12345678"), Err(Full));
    assert_eq!(disk.read("log").unwrap(), b"1234");
    disk.set_full(false);
    assert_eq!(disk.append("log", b"5678"), Ok(()));
}
