//! The small part of Markdown that the pages of the error codes use, as HTML.

use std::fmt::Write as _;

use proto::errors::ErrorPage;

/// A list of all codes.
pub(super) fn index(pages: &[ErrorPage]) -> String {
    let mut text = String::from("# Error codes\n\n");
    for page in pages {
        let ErrorPage { code, title, title_zh, status, .. } = page;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- [{code}](/docs/errors/{code}) {status}: {title} / {title_zh}");
    }
    text
}

/// A whole page.
pub(super) fn page(title: &str, markdown: &str) -> String {
    let mut body = String::new();
    for block in markdown.split("\n\n") {
        render_block(&mut body, block.trim());
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{}</title>\
         <link rel=\"stylesheet\" href=\"/docs/errors.css\"></head>\n<body>\n{body}</body>\n</html>\n",
        escape(title),
    )
}

fn render_block(html: &mut String, block: &str) {
    let _ = if let Some(text) = block.strip_prefix("# ") {
        writeln!(html, "<h1>{}</h1>", inline(text))
    } else if let Some(text) = block.strip_prefix("## ") {
        writeln!(html, "<h2>{}</h2>", inline(text))
    } else if block.starts_with("- ") {
        let items = block.lines().map(|line| inline(line.trim_start_matches("- ")));
        let items: Vec<String> = items.collect();
        writeln!(html, "<ul><li>{}</li></ul>", items.join("</li><li>"))
    } else if block.is_empty() {
        Ok(())
    } else {
        writeln!(html, "<p>{}</p>", inline(block))
    };
}

/// Code spans between backticks, and links to other pages.
fn inline(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(at, part)| match at % 2 {
        0 => links(part),
        _ => format!("<code>{}</code>", escape(part)),
    });
    parts.collect()
}

fn links(text: &str) -> String {
    let link = text.strip_prefix('[').and_then(|rest| {
        let (label, rest) = rest.split_once("](")?;
        let (target, rest) = rest.split_once(')')?;
        Some(format!("<a href=\"{}\">{}</a>{}", escape(target), escape(label), escape(rest)))
    });
    link.unwrap_or_else(|| escape(text))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_that_are_used_are_rendered() {
        let html = page("A<B", "# A<B\n\n- title: x\n- owner: y\n\n## Cause\n\nSee `a<b>`.");
        assert!(html.contains("<title>A&lt;B</title>"));
        assert!(html.contains("<h1>A&lt;B</h1>"));
        assert!(html.contains("<ul><li>title: x</li><li>owner: y</li></ul>"));
        assert!(html.contains("<h2>Cause</h2>"));
        assert!(html.contains("<p>See <code>a&lt;b&gt;</code>.</p>"));
    }

    #[test]
    fn the_list_links_every_page() {
        let html = page("Error codes", &index(proto::errors::PAGES));
        for page in proto::errors::PAGES {
            assert!(html.contains(&format!("<a href=\"/docs/errors/{0}\">{0}</a>", page.code)));
        }
    }
}
