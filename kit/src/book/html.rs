//! The little that is read from built pages.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex_lite::Regex;

static IDS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"\sid="([^"]*)""#).expect("a pattern"));
static LINKS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\s(?:href|src)="([^"]*)""#).expect("a pattern"));

/// What the author wrote, without the frame around it.
pub fn main_part(html: &str) -> &str {
    let start = html.find("<main>").map_or(0, |at| at + "<main>".len());
    let end = html.rfind("</main>").unwrap_or(html.len());
    html.get(start..end).unwrap_or_default()
}

pub fn ids(html: &str) -> BTreeSet<String> {
    IDS.captures_iter(html).map(|found| unescape(&found[1])).collect()
}

/// Where links and pictures lead.
pub fn links(html: &str) -> Vec<String> {
    LINKS.captures_iter(html).map(|found| unescape(&found[1])).collect()
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_links_are_those_of_the_page_itself() {
        let page = r##"<nav id="frame"></nav><main><h2 id="größe"><a class="header" href="#größe">x</a></h2>
            <a href="a.html?x=1&amp;y">a</a><code>href=&quot;no&quot;</code><img src="b.svg"></main>"##;
        let main = main_part(page);
        assert_eq!(ids(main), BTreeSet::from(["größe".to_owned()]));
        assert_eq!(links(main), ["#größe", "a.html?x=1&y", "b.svg"]);
        assert_eq!(unescape(&escape("<a href=\"x\">&")), "<a href=\"x\">&");
    }
}
