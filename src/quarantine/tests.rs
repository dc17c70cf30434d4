use super::*;

fn file(name: &str) -> File {
    File { name: name.to_owned(), bytes: 0, blake3: String::new(), sha256: String::new(), rows: 0 }
}

#[test]
fn files_of_one_name_get_numbers() {
    assert_eq!(names(&[file("a/x.csv"), file("b/y.csv")]), ["x.csv", "y.csv"]);
    assert_eq!(names(&[file("a/x.csv"), file("b/x.csv")]), ["00000-x.csv", "00001-x.csv"]);
}
