//! One file of a solution, taken apart: which function each hole is the tail of, and the rules that make
//! its skeleton compile.

use proc_macro2::Span as Tokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::functions::{self, Function};
use super::marks::{self, Complaint, Span};

/// How many lines of an answer are worth an evening, and not a week.
pub const LINES: std::ops::RangeInclusive<usize> = 5..=40;

/// A file of `src/`, read.
#[derive(Clone)]
pub struct Source {
    /// `src/filters.rs`
    pub file: String,
    pub text: String,
    /// In functions, from the top down.
    pub cuts: Vec<Cut>,
    /// Around whole items.
    pub vanishing: Vec<Span>,
    pub given: Vec<usize>,
    pub anchors: Vec<usize>,
}

/// A hole: the tail of a function.
#[derive(Clone)]
pub struct Cut {
    pub span: Span,
    pub function: Function,
    /// Arguments and locals that only the answer reads.
    pub consumed: Vec<String>,
}

impl Source {
    pub fn read(file: &str, text: &str) -> Result<Source, Vec<Complaint>> {
        let mut source = Source {
            file: file.to_owned(),
            text: text.to_owned(),
            cuts: Vec::new(),
            vanishing: Vec::new(),
            given: Vec::new(),
            anchors: Vec::new(),
        };
        if !file.ends_with(".rs") {
            return Ok(source);
        }
        let marks = marks::read(file, text)?;
        (source.given, source.anchors) = (marks.given, marks.anchors);
        if marks.spans.is_empty() && source.given.is_empty() {
            return Ok(source);
        }
        let complain = |line, rule| Complaint { file: file.to_owned(), line, rule };
        let tree = syn::parse_file(text).map_err(|error| {
            vec![complain(error.span().start().line, format!("this is no Rust: {error}"))]
        })?;
        let functions = functions::all(&tree);
        let mut wrong = Vec::new();
        for span in marks.spans {
            let begin = span.begin;
            // The innermost one starts last.
            match functions.iter().filter(|function| function.holds(begin)).max_by_key(|it| it.open) {
                Some(function) => match cut(span, function) {
                    Ok(cut) => source.cuts.push(cut),
                    Err(rules) => wrong.extend(rules.into_iter().map(|(line, rule)| complain(line, rule))),
                },
                None => {
                    let torn = torn(&tree, &span);
                    wrong.extend(torn.map(|line| complain(line, "this item is cut by a mark".into())));
                    source.vanishing.push(span);
                }
            }
        }
        for &line in &source.given {
            if functions.iter().any(|function| function.holds(line)) {
                let rule = "`// lab:given` stands above a field, fn, const or variant, not in a function";
                wrong.push(complain(line, rule.into()));
            }
        }
        if wrong.is_empty() { Ok(source) } else { Err(wrong) }
    }

    /// Nothing in it is the student's to write, or of the generator's to change.
    pub fn is_all_given(&self) -> bool {
        let Source { cuts, vanishing, given, anchors, .. } = self;
        cuts.is_empty() && vanishing.is_empty() && given.is_empty() && anchors.is_empty()
    }

    /// The lines between two marks.
    pub fn text_between(&self, span: &Span) -> String {
        let lines = self.text.split_inclusive('\n').skip(span.begin).take(span.end - span.begin - 1);
        lines.collect()
    }

    /// The lines between two marks, moved to the left margin.
    pub fn answer(&self, span: &Span) -> String {
        let text = self.text_between(span);
        let lines: Vec<&str> = text.lines().collect();
        let filled = lines.iter().filter(|line| !line.trim().is_empty());
        let margin = filled.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
        lines.iter().map(|line| format!("{}\n", line.get(margin..).unwrap_or_default())).collect()
    }

    /// Holes that are too small to be worth one, or too large for an evening.
    pub fn odd_sizes(&self) -> Vec<Complaint> {
        let sized = self.cuts.iter().map(|cut| {
            let answer = self.answer(&cut.span);
            let lines = answer.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with("//"));
            (cut, lines.count())
        });
        let odd = sized.filter(|(_, lines)| !LINES.contains(lines));
        odd.map(|(cut, lines)| Complaint {
            file: self.file.clone(),
            line: cut.span.begin,
            rule: format!(
                "the answer to `{}` has {lines} lines of code, and a hole has {} to {}",
                cut.function.path,
                LINES.start(),
                LINES.end()
            ),
        })
        .collect()
    }
}

/// Checks that a hole is the whole tail of its function, and sees what its skeleton must consume.
fn cut(span: Span, function: &Function) -> Result<Cut, Vec<(usize, String)>> {
    let mut wrong = Vec::new();
    let name = &function.path;
    let lines = |statement: &syn::Stmt| {
        let tokens = statement.span();
        (tokens.start().line, tokens.end().line)
    };
    let (mut given, mut answer) = (Vec::new(), 0);
    for statement in &function.statements {
        match lines(statement) {
            (_, last) if last < span.begin => given.push(statement),
            (first, last) if span.begin < first && last < span.end => answer += 1,
            (first, _) if first > span.end => {
                wrong.push((
                    first,
                    format!("this stands behind a hole, which must be the whole tail of `{name}`"),
                ));
            }
            (first, _) => wrong.push((first, "a mark cuts this statement".to_owned())),
        }
    }
    if wrong.is_empty() && function.close != span.end + 1 {
        let rule = format!("`{name}` must end on the line below: a hole is the whole tail of a body");
        wrong.push((span.end, rule));
    }
    if wrong.is_empty() && answer == 0 {
        wrong.push((span.begin, "this hole is empty".to_owned()));
    }
    if functions::returns_something_opaque(&function.signature) {
        let rule = format!("`{name}` returns an `impl Trait`, which a `todo!` cannot be: name the type");
        wrong.push((span.begin, rule));
    }
    if function.signature.constness.is_some() {
        wrong.push((
            span.begin,
            format!("`{name}` is a `const fn`, and a switch is read when the program runs"),
        ));
    }
    let unused = functions::unused(&function.signature, given.into_iter());
    for binding in unused.iter().filter(|binding| binding.mutable) {
        let name = &binding.name;
        wrong.push((
            binding.line,
            format!("`mut {name}` is changed by the answer alone: take `{name}`, and rebind it in the hole"),
        ));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let consumed = unused.into_iter().map(|binding| binding.name).collect();
    Ok(Cut { span, function: function.clone(), consumed })
}

/// The first line of each item, field or variant that stands on both sides of a mark.
fn torn(tree: &syn::File, span: &Span) -> impl Iterator<Item = usize> {
    struct Torn<'a>(&'a Span, Vec<usize>);
    impl Torn<'_> {
        fn see(&mut self, tokens: Tokens) {
            let (first, last) = (tokens.start().line, tokens.end().line);
            let crosses = |mark: usize| first < mark && mark < last;
            if crosses(self.0.begin) != crosses(self.0.end) {
                self.1.push(first);
            }
        }
    }
    impl<'ast> Visit<'ast> for Torn<'_> {
        fn visit_item(&mut self, it: &'ast syn::Item) {
            self.see(it.span());
            visit::visit_item(self, it);
        }
        fn visit_impl_item(&mut self, it: &'ast syn::ImplItem) {
            self.see(it.span());
        }
        fn visit_trait_item(&mut self, it: &'ast syn::TraitItem) {
            self.see(it.span());
        }
        fn visit_field(&mut self, it: &'ast syn::Field) {
            self.see(it.span());
        }
        fn visit_variant(&mut self, it: &'ast syn::Variant) {
            self.see(it.span());
        }
    }
    let mut torn = Torn(span, Vec::new());
    torn.visit_file(tree);
    torn.1.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        Source::read("a.rs", text)
            .err()
            .unwrap()
            .iter()
            .map(|it| format!("{}: {}", it.line, it.rule))
            .collect()
    }

    fn complaint(text: &str) -> String {
        complaints(text).join("; ")
    }

    #[test]
    fn a_hole_knows_its_function_and_what_only_the_answer_reads() {
        let text = "
fn f(a: u8, b: u8) -> u8 {
    let c = a;
    // lab:begin 05.2 add
    let d = b + c;

    d
    // lab:end
}
";
        let source = Source::read("a.rs", text).unwrap();
        let [cut] = &source.cuts[..] else { panic!("one hole") };
        assert_eq!((cut.function.path.as_str(), &cut.consumed[..]), ("f", &["b".into(), "c".into()][..]));
        assert_eq!(source.answer(&cut.span), "let d = b + c;\n\nd\n");
        let sizes = source.odd_sizes();
        assert_eq!(sizes[0].rule, "the answer to `f` has 2 lines of code, and a hole has 5 to 40");
    }

    #[test]
    fn a_hole_is_the_whole_tail_of_its_function() {
        let behind = "fn f() {\n// lab:begin 05.2 x\na();\n// lab:end\nb();\n}";
        assert_eq!(complaint(behind), "5: this stands behind a hole, which must be the whole tail of `f`");
        let comment = "fn f() {\n// lab:begin 05.2 x\na();\n// lab:end\n// more\n}";
        assert_eq!(
            complaint(comment),
            "4: `f` must end on the line below: a hole is the whole tail of a body"
        );
        let cut = "fn f() {\na(\n// lab:begin 05.2 x\n1);\n// lab:end\n}";
        assert_eq!(complaint(cut), "2: a mark cuts this statement");
        let empty = "fn f() {\n// lab:begin 05.2 x\n// lab:end\n}";
        assert_eq!(complaint(empty), "2: this hole is empty");
        let deep = "fn f() {\nif a {\n// lab:begin 05.2 x\nb();\n// lab:end\n}\n}";
        assert_eq!(complaint(deep), "2: a mark cuts this statement");
    }

    #[test]
    fn what_no_skeleton_could_have_is_refused() {
        let opaque = "fn f() -> impl Iterator<Item = u8> {\n// lab:begin 05.2 x\na()\n// lab:end\n}";
        let rule = "2: `f` returns an `impl Trait`, which a `todo!` cannot be: name the type";
        assert_eq!(complaint(opaque), rule);
        let constant = "const fn f() -> u8 {\n// lab:begin 05.2 x\n1\n// lab:end\n}";
        assert!(complaint(constant).starts_with("2: `f` is a `const fn`"));
        let changed = "fn f(mut a: u8) {\n// lab:begin 05.2 x\na += 1;\n// lab:end\n}";
        let rule = "1: `mut a` is changed by the answer alone: take `a`, and rebind it in the hole";
        assert_eq!(complaint(changed), rule);
        let inside = "fn f() {\n// lab:given\nconst A: u8 = 1;\n}";
        assert!(complaint(inside).starts_with("2: `// lab:given` stands above"));
        assert!(complaint("// lab:given\nfn f( {").starts_with("2: this is no Rust: "));
    }

    #[test]
    fn items_vanish_whole() {
        let whole = "// lab:begin 05.2 helpers\nuse a::B;\n\n/// Doc.\nfn f() {\n    g();\n}\n// lab:end\n";
        assert_eq!(Source::read("a.rs", whole).unwrap().vanishing.len(), 1);
        let inside = "impl A {\n    // lab:begin 05.2 helpers\n    fn f() {}\n    // lab:end\n}\n";
        assert_eq!(Source::read("a.rs", inside).unwrap().vanishing.len(), 1);
        let torn = "// lab:begin 05.2 helpers\nfn f() {\n// lab:end\n}\n";
        assert_eq!(complaint(torn), "2: this item is cut by a mark");
    }
}
