//! What usual texts become.

use crate::read::tags;

#[test]
fn the_marks_of_a_line() {
    assert_eq!(
        tags("**b** _e_ ~~d~~ `c` [l](https://a.b \"t\") ![i](x)"),
        "<p><strong>b</strong> <em>e</em> <del>d</del> <code:c> <a:https://a.b:t>l</a> <img:x:i></p>"
    );
    assert_eq!(tags("a  \nb\\\nc\nd"), "<p>a<br>b<br>c\nd</p>");
}

#[test]
fn blocks() {
    assert_eq!(tags("# A\n\n> b\n\n---\n"), "<h:1>A</h><quote><p>b</p></quote><hr>");
    assert_eq!(tags("- a\n- [x] b\n\n3. c"), "<ul><li>a</li><li><box:1>b</li></ul><ol:3><li>c</li></ol>");
    assert_eq!(tags("- a\n\n  b"), "<ul><li><p>a</p><p>b</p></li></ul>");
    assert_eq!(tags("```rust x\nlet a;\n```"), "<pre:rust x:let a;>");
    assert_eq!(tags("<b onclick=x>\n"), "<html:<b onclick=x>>");
    assert_eq!(tags("a <i>b</i>"), "<p>a <i>b</i></p>");
}

#[test]
fn a_table_and_its_short_rows() {
    assert_eq!(
        tags("|a|b|c|\n|-|:-:|-:|\n|1||3|\n|2|\n"),
        "<table:[0, 2, 3]><thead><td>a</td><td>b</td><td>c</td></thead>\
         <tr><td>1</td><td></td><td>3</td></tr><tr><td>2</td></tr></table>"
    );
}

#[test]
fn a_formula_keeps_its_backslashes_and_its_signs() {
    for formula in [r"\(a^2 * b * c\)", r"\[ x_1 _y_ \\ \{z\} \]", r"$a_1 * b_2 * c$", r"$$ a \\ b $$", r"\(`a\)"] {
        assert_eq!(tags(formula), format!("<p>{formula}</p>"));
        assert_eq!(tags(&format!("so {formula} *is*")), format!("<p>so {formula} <em>is</em></p>"));
    }
    assert_eq!(tags("\\[\na\\\\\nb*c*d\n\\]"), "<p>\\[\na\\\\\nb*c*d\n\\]</p>");
    assert_eq!(tags("> \\[ a\n> *b* \\]"), "<quote><p>\\[ a\n*b* \\]</p></quote>");
    assert_eq!(tags(r"- \(a*b*c\)"), r"<ul><li>\(a*b*c\)</li></ul>");
    assert_eq!(tags(r"# \(a*b*c\)"), r"<h:1>\(a*b*c\)</h>");
    assert_eq!(
        tags("|a|\n|-|\n|\\(a*b*c\\)|"),
        "<table:[0]><thead><td>a</td></thead><tr><td>\\(a*b*c\\)</td></tr></table>"
    );
}

#[test]
fn an_escaped_bracket_without_its_end_is_a_bracket() {
    assert_eq!(tags(r"\[not a link](x)"), "<p>[not a link](x)</p>");
    assert_eq!(tags(r"a \( b, \\(c\\)"), r"<p>a ( b, \(c\)</p>");
    assert_eq!(tags(r"`\(a\)`"), r"<p><code:\(a\)></p>");
    assert_eq!(tags("\\(a\n\nb\\)"), "<p>(a</p><p>b)</p>", "no formula is longer than its paragraph");
}

#[test]
fn a_formula_across_emphasis_opens_and_closes_it_rightly() {
    assert_eq!(tags(r"*a \( b* c \) d"), r"<p><em>a \( b* c \)</em> d</p>");
    assert_eq!(tags(r"\( *a \) b* c"), r"<p>\( *a \) b c</p>");
}

#[test]
fn bare_addresses_are_links() {
    assert_eq!(tags("see https://a.b/c_d."), "<p>see <a:https://a.b/c_d:>https://a.b/c_d</a>.</p>");
    assert_eq!(tags("www.a.b"), "<p><a:http://www.a.b:>www.a.b</a></p>");
    assert_eq!(tags("[https://a.b](https://c.d)"), "<p><a:https://c.d:>https://a.b</a></p>");
    assert_eq!(tags("<me@a.b>"), "<p><a:mailto:me@a.b:>me@a.b</a></p>");
}
