use super::*;

fn decision(about: About, ruling: Ruling) -> Decision {
    Decision { at: Timestamp::UNIX_EPOCH, by: "ada".to_owned(), about, ruling, note: None }
}

fn ledger(name: &str, decisions: &[Decision], folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join(name);
    add(&path, decisions).unwrap();
    path
}

#[test]
fn the_last_word_holds_and_a_row_can_leave_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let cause = || About::Cause("f00d".to_owned());
    let path = ledger(
        "a.jsonl",
        &[
            decision(About::Row(5), Ruling::Dismiss),
            decision(cause(), Ruling::Confirm),
            decision(About::Row(2), Ruling::Dismiss),
            decision(About::Row(3), Ruling::Undo),
        ],
        &folder,
    );
    let of = ["f00d".to_owned()];
    let rows = [(1, &of[..]), (2, &of[..]), (3, &of[..]), (4, &[][..]), (5, &of[..])];
    let settled = Review::read(&[path]).unwrap().settle(rows.into_iter()).unwrap();
    let confirm = || Some(Ruling::Confirm);
    assert_eq!(settled, [confirm(), Some(Ruling::Dismiss), None, None, confirm()]);
}

#[test]
fn reviewers_who_disagree_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let one = ledger("a.jsonl", &[decision(About::Row(1), Ruling::Confirm), decision(About::Row(2), Ruling::Confirm)], &folder);
    let other = ledger("b.jsonl", &[decision(About::Row(2), Ruling::Dismiss)], &folder);
    let review = Review::read(&[one, other]).unwrap();
    assert_eq!(review.settle([(1, &[][..])].into_iter()).unwrap(), [Some(Ruling::Confirm)]);
    let said = review.settle([(1, &[][..]), (2, &[][..])].into_iter()).unwrap_err().to_string();
    assert!(said.ends_with("reviewers disagree about 1 rows: 2"), "{said}");
}

fn line(ruling: &str) -> String {
    format!("{{\"at\":\"2026-01-02T03:04:05.678Z\",\"by\":\"ada\",\"row\":7,{ruling}}}")
}

#[test]
fn a_decision_is_flat_in_a_ledger() {
    for (ruling, text) in [
        (Ruling::Confirm, "\"ruling\":\"confirm\""),
        (Ruling::Relabel { label: "7".to_owned() }, "\"ruling\":\"relabel\",\"label\":\"7\""),
        (Ruling::Note, "\"ruling\":\"note\""),
    ] {
        let at = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let decision = Decision { at, by: "ada".to_owned(), about: About::Row(7), ruling, note: None };
        assert_eq!(serde_json::to_string(&decision).unwrap(), line(text));
        assert_eq!(serde_json::from_str::<Decision>(&line(text)).unwrap(), decision);
    }
    assert!(serde_json::from_str::<Decision>(&line("\"ruling\":\"relabel\"")).is_err());
    assert!(serde_json::from_str::<Decision>(&line("\"ruling\":\"delete\"")).is_err());
}

#[test]
fn a_note_decides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = ledger("a.jsonl", &[decision(About::Row(1), Ruling::Confirm), decision(About::Row(1), Ruling::Note)], &folder);
    let settled = Review::read(&[path]).unwrap().settle([(1, &[][..]), (2, &[][..])].into_iter()).unwrap();
    assert_eq!(settled, [Some(Ruling::Confirm), None]);
}

#[test]
fn ledgers_merge_but_where_they_differ() {
    let folder = tempfile::tempdir().unwrap();
    let of = || vec!["f00d".to_owned()];
    let listed = |row| ListedRow { row, codes: Vec::new(), label: None, tier: "alarm".to_owned(), causes: of(), reason: String::new() };
    let rows: Vec<ListedRow> = (1..=4).map(listed).collect();
    let to = |label: &str| Ruling::Relabel { label: label.to_owned() };
    add(&folder.path().join(DECISIONS), &[decision(About::Row(1), Ruling::Dismiss), decision(About::Row(2), to("a"))]).unwrap();
    let by = |about, ruling| Decision { by: "bob".to_owned(), ..decision(about, ruling) };
    let other = [by(About::Cause("f00d".to_owned()), Ruling::Confirm), by(About::Row(2), to("b")), by(About::Row(4), Ruling::Undo)];
    let merged = merge(folder.path(), &rows, &other).unwrap();
    let conflicts: Vec<(u64, &Ruling, &Ruling)> = merged.conflicts.iter().map(|c| (c.row, &c.ours.ruling, &c.theirs.ruling)).collect();
    assert_eq!((merged.taken, conflicts), (1, vec![(1, &Ruling::Dismiss, &Ruling::Confirm), (2, &to("a"), &to("b"))]));
    let review = Review::read(&[folder.path().join(DECISIONS)]).unwrap();
    let settled = review.settle(rows.iter().map(|row| (row.row, &row.causes[..]))).unwrap();
    assert_eq!(settled, [Some(Ruling::Dismiss), Some(to("a")), Some(Ruling::Confirm), None]);
    assert_eq!(merge(folder.path(), &rows, &other).unwrap().taken, 0, "once is enough");
    let stranger = [by(About::Row(77), Ruling::Confirm)];
    assert_eq!(merge(folder.path(), &rows, &stranger).unwrap(), Merged::default(), "rows of another report are nobody's");
}
