//! Laws of the generator, on what it is for: the chapters of this workspace.

use std::collections::BTreeMap;

use super::room::Room;
use super::{answers, skeleton, switches};
use crate::chapters::Chapter;
use crate::place::Place;

fn rooms() -> Vec<(Chapter, Room)> {
    let place = Place::find().unwrap();
    let chapters = Chapter::all(&place).unwrap();
    let read = |chapter: Chapter| {
        let room = Room::read(&place, &chapter).unwrap_or_else(|error| panic!("{error:#}"));
        (chapter, room)
    };
    chapters.into_iter().map(read).collect()
}

#[test]
fn with_every_hole_closed_the_switched_form_is_the_solution() {
    for (chapter, room) in rooms() {
        let written = switches::write(&room, &[]);
        for file in &room.files {
            let mut lines: Vec<String> = written[&file.source.file].lines().map(str::to_owned).collect();
            for line in &mut lines {
                // A guard ends where the mark begins that it stands in front of.
                if let Some((guard, mark)) = line.split_once(" // lab:begin ") {
                    assert!(guard.starts_with("if crate::hole_is_open("), "{guard}");
                    *line = format!("// lab:begin {mark}");
                }
            }
            for (line, given) in lines.iter().zip(file.source.text.lines()) {
                assert_eq!(line.trim(), given.trim(), "{} {}", chapter.name, file.source.file);
            }
        }
    }
}

#[test]
fn every_hole_has_an_id_of_its_own_and_a_line_in_the_lab() {
    for (chapter, room) in rooms() {
        let texts: BTreeMap<&str, String> =
            room.files.iter().map(|it| (it.source.file.as_str(), skeleton::write(&it.source).0)).collect();
        let holes = room.holes();
        let ids: std::collections::BTreeSet<&str> = holes.iter().map(|hole| hole.id.as_str()).collect();
        assert_eq!(ids.len(), holes.len(), "{}", chapter.name);
        for hole in holes {
            let line = texts[hole.file.as_str()].lines().nth(hole.line - 1).unwrap_or_default();
            assert!(line.trim().starts_with("todo!("), "{}: {line}", hole.id);
        }
    }
}

#[test]
fn a_solved_step_is_put_back_and_the_others_stay_solved() {
    for (chapter, room) in rooms() {
        for file in &room.files {
            let solved = &file.source.text;
            let (skeleton, _) = skeleton::write(&file.source);
            for step in &chapter.steps {
                let reset = answers::reset_step(solved, &skeleton, &step.id).unwrap();
                let todo = format!("lab {}: ", step.id);
                for other in &chapter.steps {
                    let holes = file.source.cuts.iter().filter(|cut| cut.span.step == other.id);
                    for cut in holes {
                        let there = reset.contains(&file.source.text_between(&cut.span));
                        assert_eq!(there, step.id != other.id, "{} {}", other.id, cut.function.path);
                    }
                }
                let count = |text: &str| text.matches(&todo).count();
                assert_eq!(count(&reset), count(&skeleton), "{} {}", step.id, file.source.file);
                // What is put back once is there to stay.
                assert_eq!(answers::reset_step(&reset, &skeleton, &step.id).unwrap(), reset);
            }
        }
    }
}
