//! The parameters of a path such as `/rooms/{room}`, as one request fills them.

/// Names and values, in the order of the path; values are percent-decoded. The head of the request bounds their length, and the path
/// that is served bounds their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Params(Box<[(String, String)]>);

impl Params {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(params: I) -> Self {
        Self(params.into_iter().collect())
    }
}
