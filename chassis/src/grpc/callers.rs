//! Which services may call which method.

/// The table of a service: each method (`/pkg.Service/Method`) and the names of the services that
/// may call it. A method that is not listed is for nobody.
///
/// End users are another matter: their token travels with the call and is looked at by the method
/// itself.
#[derive(Clone, Copy, Debug)]
pub struct Callers {
    table: &'static [Line],
}

/// A method and who may call it.
pub type Line = (&'static str, &'static [&'static str]);

impl Callers {
    /// Returns the table with these lines.
    pub const fn new(table: &'static [Line]) -> Self {
        Self { table }
    }

    /// The lines.
    pub fn lines(&self) -> &'static [Line] {
        self.table
    }

    /// Whether the method has a line.
    pub fn knows(&self, path: &str) -> bool {
        self.of(path).is_some()
    }

    /// Whether `service` may call the method.
    pub fn allows(&self, path: &str, service: &str) -> bool {
        self.of(path).is_some_and(|callers| callers.contains(&service))
    }

    /// A dozen lines are read faster than hashed.
    fn of(&self, path: &str) -> Option<&'static [&'static str]> {
        self.table.iter().find(|(method, _)| *method == path).map(|(_, callers)| *callers)
    }
}
