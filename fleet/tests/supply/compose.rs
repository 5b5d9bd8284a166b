//! As much of YAML as `deploy/docker-compose.yml` is written in: mappings by indentation, lists, and
//! anchors that are merged at their place.

/// The scalars of a compose file, by their place.
pub(crate) struct Compose(Vec<(Vec<String>, String)>);

impl Compose {
    /// Reads a file.
    pub(crate) fn parse(text: &str) -> Self {
        let (mut entries, mut above) = (Vec::new(), Vec::<(usize, String)>::new());
        for line in text.lines().map(without_comment).filter(|line| !line.trim().is_empty()) {
            let indent = line.len() - line.trim_start().len();
            let line = line.trim();
            while above.last().is_some_and(|(outer, _)| *outer >= indent) {
                above.pop();
            }
            let (key, value) = match line.strip_prefix("- ") {
                Some(item) => ("-", item),
                None => split(line),
            };
            let path = above.iter().map(|(_, key)| key.clone()).chain([key.to_owned()]);
            entries.push((path.collect(), value.to_owned()));
            if key != "-" {
                above.push((indent, key.to_owned()));
            }
        }
        Self(entries)
    }

    /// The names of the services that have a `build`.
    pub(crate) fn built(&self) -> Vec<&str> {
        let is_build =
            |path: &Vec<String>| path.len() == 3 && path[0] == "services" && path[2] == "build";
        self.0.iter().filter(|(path, _)| is_build(path)).map(|(path, _)| path[1].as_str()).collect()
    }

    /// What a service has under a key: a scalar or the items of a list; of its own, else from what is
    /// merged into it.
    pub(crate) fn of(&self, service: &str, key: &str) -> Vec<&str> {
        let own = self.under(&["services", service, key]);
        if !own.is_empty() {
            return own;
        }
        let merged = self.under(&["services", service, "<<"]);
        let anchors = merged.iter().filter_map(|name| name.strip_prefix('*'));
        let places = anchors.filter_map(|name| {
            let anchor = format!("&{name}");
            self.0.iter().find(|(_, value)| *value == anchor).map(|(path, _)| path)
        });
        places
            .flat_map(|place| {
                let path: Vec<&str> = place.iter().map(String::as_str).chain([key]).collect();
                self.under(&path)
            })
            .collect()
    }

    /// The value of a variable of a service.
    pub(crate) fn environment(&self, service: &str, variable: &str) -> Vec<&str> {
        self.under(&["services", service, "environment", variable])
    }

    /// The scalar at a place, or the items of the list there.
    fn under(&self, place: &[&str]) -> Vec<&str> {
        let is_there = |path: &[String]| {
            path == place
                || path.split_last().is_some_and(|(last, list)| last == "-" && list == place)
        };
        let found = self.0.iter().filter(|(path, value)| is_there(path) && !value.is_empty());
        found.map(|(_, value)| value.trim_matches('"')).collect()
    }
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or(line) }
}

fn split(line: &str) -> (&str, &str) {
    match line.split_once(": ") {
        Some((key, value)) => (key, value.trim()),
        None => (line.trim_end_matches(':'), ""),
    }
}

#[test]
fn what_is_merged_counts_unless_the_service_says_otherwise() {
    let compose = Compose::parse(
        "x-base: &base\n  read_only: true # why\n  caps: [ALL]\n\
         services:\n  # a comment\n  one:\n    <<: *base\n    build: { context: .. }\n    volumes:\n      \
         - \"a:/a:ro\"\n      - b:/b\n    environment:\n      X: /y\n  two:\n    <<: *base\n    \
         read_only: false\n    image: x\n",
    );
    assert_eq!(compose.built(), ["one"]);
    assert_eq!(compose.of("one", "read_only"), ["true"]);
    assert_eq!(compose.of("two", "read_only"), ["false"]);
    assert_eq!(compose.of("two", "caps"), ["[ALL]"]);
    assert_eq!(compose.of("one", "volumes"), ["a:/a:ro", "b:/b"]);
    assert_eq!(compose.environment("one", "X"), ["/y"]);
    assert!(compose.of("two", "volumes").is_empty() && compose.of("one", "user").is_empty());
}
