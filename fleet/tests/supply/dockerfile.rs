//! The stages of `deploy/Dockerfile` and their instructions.

/// A stage of the build.
pub(crate) struct Stage {
    /// The image that it starts from.
    pub(crate) base: String,
    /// Its name.
    pub(crate) name: String,
    /// Instructions with their arguments, `FROM` left out.
    pub(crate) instructions: Vec<(String, String)>,
}

impl Stage {
    /// The arguments of each instruction of this kind.
    pub(crate) fn all(&self, kind: &str) -> Vec<&str> {
        let found = self.instructions.iter().filter(|(name, _)| name == kind);
        found.map(|(_, arguments)| arguments.as_str()).collect()
    }
}

/// Reads the stages; lines that are continued are one.
pub(crate) fn parse(text: &str) -> Vec<Stage> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let mut stages = Vec::<Stage>::new();
    for line in joined.lines().filter(|line| !line.trim().is_empty()) {
        let (kind, arguments) = line.trim().split_once(' ').unwrap();
        if kind == "FROM" {
            let (base, name) = arguments.split_once(" AS ").unwrap();
            let (base, name) = (base.to_owned(), name.to_owned());
            stages.push(Stage { base, name, instructions: Vec::new() });
        } else {
            let instruction = (kind.to_owned(), arguments.trim().to_owned());
            stages.last_mut().unwrap().instructions.push(instruction);
        }
    }
    stages
}

#[test]
fn stages_have_their_own_instructions() {
    let stages = parse("# x\nFROM a AS one\nRUN b \\\n    && c\n# y\nFROM d AS two\nUSER 1:1\n");
    assert_eq!(stages.len(), 2);
    assert_eq!((stages[0].base.as_str(), stages[0].name.as_str()), ("a", "one"));
    assert_eq!(stages[0].all("RUN"), ["b      && c"]);
    assert_eq!(stages[1].all("USER"), ["1:1"]);
    assert!(stages[1].all("RUN").is_empty());
}
