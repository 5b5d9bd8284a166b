//! The pages for people: the API's documentation and the error codes, without internet access.

use crate::harness::{Ask, Gateway};

/// The values of an attribute in a page.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let start = format!("{name}=\"");
    page.split(start.as_str()).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn the_documentation_page_loads_everything_from_the_gateway() {
    let gateway = Gateway::start().await;
    let led = gateway.ask(Ask::get("/docs")).await;
    assert_eq!((led.status, led.header("location")), (308, Some("/docs/")));
    let page = gateway.ask(Ask::get("/docs/")).await;
    assert_eq!(page.media_type(), Some("text/html"));
    let page = page.text();
    assert!(!page.contains("://"), "{page}");
    let files = [attributes(page, "src"), attributes(page, "href")].concat();
    assert!(files.len() >= 4, "{page}");
    for file in files {
        assert!(!file.starts_with("//"), "{file}");
        let name = file.trim_start_matches("./");
        let reply = gateway.ask(Ask::get(&format!("/docs/{name}"))).await;
        assert_eq!(reply.status, 200, "{file}");
        assert_eq!(reply.header("content-encoding"), None, "nobody asked for it: {file}");
        let kind = match name.rsplit('.').next().unwrap() {
            "css" => "text/css",
            "js" => "text/javascript",
            _ => "image/png",
        };
        assert_eq!(reply.media_type(), Some(kind), "{file}");
        let is_text = kind.starts_with("text/");
        let names_charset = reply.header("content-type").unwrap().ends_with("; charset=utf-8");
        assert_eq!(names_charset, is_text, "{file}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"));
        assert!(!policy.contains("http"), "{policy}");
    }
    let start = gateway.ask(Ask::get("/docs/swagger-initializer.js")).await;
    assert!(start.text().contains("/openapi.json") && !start.text().contains("://"));
}

#[tokio::test]
async fn every_code_has_a_page_in_two_forms() {
    let gateway = Gateway::unlimited().await;
    let index = gateway.ask(Ask::get("/docs/errors")).await;
    let html = gateway.ask(Ask::get("/docs/errors").header("accept", "text/html,*/*")).await;
    for page in proto::errors::PAGES {
        let path = format!("/docs/errors/{}", page.code);
        assert!(index.text().contains(&format!("({path})")), "{path}");
        assert!(attributes(html.text(), "href").contains(&path.as_str()), "{path}");
        let markdown = gateway.ask(Ask::get(&path)).await;
        assert_eq!(markdown.header("content-type"), Some("text/markdown; charset=utf-8"));
        assert_eq!(markdown.text(), page.text);
        let html = gateway.ask(Ask::get(&path).header("accept", "text/html")).await;
        assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(html.text().contains(&format!("<h1>{}</h1>", page.code)), "{path}");
        assert!(html.text().contains(page.title_zh), "{path}");
        assert!(html.header("vary").unwrap().contains("accept"));
        assert!(!html.text().contains("://") && !html.text().contains("<script"), "{path}");
    }
    let style = gateway.ask(Ask::get("/docs/errors.css")).await;
    assert_eq!((style.status, style.media_type()), (200, Some("text/css")));
}

#[tokio::test]
async fn a_code_that_is_none_has_no_page() {
    let gateway = Gateway::start().await;
    for code in ["NO_SUCH_CODE", "internal", "..%2fINTERNAL", "INTERNAL.md", "<script>"] {
        let code = code.replace('<', "%3C").replace('>', "%3E");
        let reply = gateway.ask(Ask::get(&format!("/docs/errors/{code}"))).await;
        assert_eq!(reply.code(), "ERROR_PAGE_NOT_FOUND", "{code}");
        assert!(!reply.text().contains("<script>"));
    }
}

#[tokio::test]
async fn the_documentation_needs_no_token_and_no_service() {
    let gateway = Gateway::start().await;
    for path in ["/docs/", "/docs/errors", "/docs/errors/INTERNAL", "/openapi.json"] {
        assert_eq!(gateway.ask(Ask::get(path)).await.status, 200, "{path}");
        let stale = Ask::get(path).token("expired");
        assert_eq!(gateway.ask(stale).await.status, 200, "{path}");
    }
    assert!(!gateway.fleet.has_calls());
}
