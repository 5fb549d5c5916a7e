use std::time::Duration;

use super::*;
use crate::chapters::Hints;

fn step(id: &str) -> Step {
    let hints = Hints { nudge: String::new(), approach: String::new(), sketch: String::new() };
    let texts = || String::new();
    let (title, file, anchor, why) = (texts(), texts(), texts(), texts());
    Step { id: id.into(), title, minutes: 1, points: 1, file, anchor, tests: vec![], why, hints }
}

/// A home that is removed with the test.
struct Home(Place);

impl Home {
    fn new(name: &str) -> Self {
        let home = std::env::temp_dir().join(format!("kit-progress-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        Self(Place { root: home.clone(), home })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0.home);
    }
}

fn noon(day: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(day * 86_400 + 43_200)
}

#[test]
fn days_are_those_of_the_calendar() {
    assert_eq!(day(UNIX_EPOCH), "1970-01-01");
    // `date -u -d @…` agrees.
    let known = [
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_709_251_199, "2024-02-29T23:59:59Z"),
        (1_795_235_696, "2026-11-21T04:34:56Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ];
    for (seconds, expected) in known {
        assert_eq!(instant(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
    }
}

#[test]
fn a_step_that_was_done_stays_remembered() {
    let mut record = Record::default();
    assert_eq!(record.state("a"), State::Open);
    record.sat(3, 5, "a", noon(1));
    assert_eq!(record.state("a"), State::Begun { passed: 3, of: 5 });
    record.sat(5, 5, "b", noon(2));
    assert_eq!((record.state("b"), record.state("c")), (State::Done, State::Changed));
    record.sat(4, 5, "c", noon(3));
    assert_eq!(record.state("c"), State::Broken { passed: 4, of: 5 });
    record.sat(6, 6, "d", noon(4));
    assert_eq!((record.state("d"), record.done.as_deref()), (State::Done, Some("1970-01-03")));
}

#[test]
fn an_update_keeps_what_it_does_not_know() {
    let home = Home::new("unknown");
    fs::create_dir_all(&home.0.home).expect("a folder");
    let before = r#"{"steps":{"05.1":{"done":"2026-11-21","stars":3},"99.1":{"hints":2}},"theme":"dark"}"#;
    fs::write(file(&home.0), before).expect("a file");
    Progress::update(&home.0, |progress| progress.of_mut(&step("05.2")).hints = 1).expect("an update");
    let after: Value =
        serde_json::from_str(&fs::read_to_string(file(&home.0)).expect("a file")).expect("JSON");
    assert_eq!(after["theme"], "dark");
    assert_eq!(after["steps"]["05.1"]["stars"], 3);
    assert_eq!(after["steps"]["99.1"]["hints"], 2);
    assert_eq!(after["steps"]["05.2"]["hints"], 1);
    assert_eq!(Progress::load(&home.0).expect("it").of(&step("05.1")).done.as_deref(), Some("2026-11-21"));
}

#[test]
fn a_damaged_file_is_set_aside_and_not_deleted() {
    let home = Home::new("damaged");
    fs::create_dir_all(&home.0.home).expect("a folder");
    for (n, damaged) in
        ["{\"steps\":", "", "[]", "{\"steps\":{\"05.1\":{\"hints\":\"two\"}}}"].iter().enumerate()
    {
        fs::write(file(&home.0), damaged).expect("a file");
        assert_eq!(Progress::load(&home.0).expect("anew"), Progress::default());
        let aside = home.0.home.join(format!("progress.damaged-{}.json", n + 1));
        assert_eq!(fs::read_to_string(aside).expect("kept"), *damaged);
    }
}

#[test]
fn updates_at_the_same_time_are_all_kept() {
    let home = Home::new("together");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let place = &home.0;
            scope.spawn(move || {
                let id = format!("00.{n}");
                Progress::update(place, |progress| progress.of_mut(&step(&id)).hints = 3).expect("an update");
            });
        }
    });
    let progress = Progress::load(&home.0).expect("it");
    assert_eq!((0..8).filter(|n| progress.of(&step(&format!("00.{n}"))).hints == 3).count(), 8);
}

#[test]
fn the_fingerprint_is_of_the_sources_alone() {
    let home = Home::new("fingerprint");
    let lab = home.0.home.join("labs/05");
    fs::create_dir_all(lab.join("src/a")).expect("a folder");
    fs::write(lab.join("src/lib.rs"), "one").expect("a file");
    fs::write(lab.join("src/a/b.rs"), "two").expect("a file");
    let before = fingerprint(&lab);
    fs::write(lab.join("src/.lib.rs.swp"), "an editor's").expect("a file");
    fs::write(lab.join("Cargo.toml"), "a manifest").expect("a file");
    assert_eq!(fingerprint(&lab), before);
    fs::write(lab.join("src/a/b.rs"), "three").expect("a file");
    assert_ne!(fingerprint(&lab), before);
    assert_eq!(fingerprint(&lab.join("nowhere")), fingerprint(Path::new("/nonexistent")));
}
