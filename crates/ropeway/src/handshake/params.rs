//! The parameters of a path such as `/rooms/{room}`, with their values in one request.

/// Names and values, in the order of the path. Values are percent-decoded. Their length is bounded by the limits of the
/// request's head, their number by the path that is served.
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
