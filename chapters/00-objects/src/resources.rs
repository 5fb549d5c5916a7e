#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub namespaced: bool,
    pub categories: &'static [&'static str],
    pub storage_prefix: &'static str,
    pub verbs: &'static [&'static str],
    pub subresources: &'static [&'static str],
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

pub fn all() -> &'static [Resource] {
    &[]
}
pub fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    all().iter().find(|r| r.group == group && r.version == version && r.plural == plural)
}
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    all().iter().find(|r| r.group == group && r.version == version && r.kind == kind)
}
