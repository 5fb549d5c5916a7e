//! The functions of a file: their names, where they stand, and what their given part binds and uses.

use proc_macro2::{LineColumn, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A function with a body. Lines count from 1.
#[derive(Clone)]
pub struct Function {
    /// `Type::method`, with modules and outer functions in front.
    pub path: String,
    /// The trait that the method implements: a type may have two of one name.
    pub of_trait: Option<String>,
    /// From its visibility to the closing brace; attributes and docs stand in front.
    pub start: LineColumn,
    pub end: LineColumn,
    /// The lines of the body's braces.
    pub open: usize,
    pub close: usize,
    /// The column of the opening brace, in characters.
    pub open_column: usize,
    pub signature: syn::Signature,
    pub statements: Vec<syn::Stmt>,
}

impl Function {
    /// Whether a line lies inside the body.
    pub fn holds(&self, line: usize) -> bool {
        self.open < line && line < self.close
    }

    /// Where the body's opening brace stands in the file's text.
    pub fn body_from(&self, text: &str) -> usize {
        offset(text, LineColumn { line: self.open, column: self.open_column })
    }

    /// Behind the body's closing brace.
    pub fn body_to(&self, text: &str) -> usize {
        offset(text, self.end)
    }

    /// What tells it from every other function of the file that is written once.
    pub fn key(&self) -> (&str, Option<&str>) {
        (&self.path, self.of_trait.as_deref())
    }
}

/// Spans count columns in characters, and texts count bytes.
pub fn offset(text: &str, at: LineColumn) -> usize {
    let line = text.split_inclusive('\n').take(at.line - 1).map(str::len).sum::<usize>();
    let column = text[line..].chars().take(at.column).map(char::len_utf8).sum::<usize>();
    line + column
}

/// Every function of a file, outer ones in front of those that they hold.
pub fn all(file: &syn::File) -> Vec<Function> {
    let mut reader = Reader { scope: Vec::new(), of_trait: None, functions: Vec::new() };
    reader.visit_file(file);
    reader.functions
}

struct Reader {
    scope: Vec<String>,
    of_trait: Option<String>,
    functions: Vec<Function>,
}

impl Reader {
    fn within(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.scope.push(name);
        visit(self);
        self.scope.pop();
    }

    fn function(
        &mut self,
        visibility: Option<&syn::Visibility>,
        signature: &syn::Signature,
        block: &syn::Block,
    ) {
        let name = signature.ident.to_string();
        let public = visibility.filter(|it| !matches!(it, syn::Visibility::Inherited));
        let start = public.map_or(signature.span(), |it| it.span()).start();
        let braces = block.brace_token.span;
        self.functions.push(Function {
            path: self.scope.iter().chain([&name]).map(String::as_str).collect::<Vec<_>>().join("::"),
            of_trait: self.of_trait.clone(),
            start,
            end: braces.close().end(),
            open: braces.open().start().line,
            open_column: braces.open().start().column,
            close: braces.close().start().line,
            signature: signature.clone(),
            statements: block.stmts.clone(),
        });
        let of_trait = self.of_trait.take();
        self.within(name, |reader| visit::visit_block(reader, block));
        self.of_trait = of_trait;
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.within(item.ident.to_string(), |reader| visit::visit_item_mod(reader, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(item.ident.to_string(), |reader| visit::visit_item_trait(reader, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of_trait =
            item.trait_.as_ref().and_then(|(_, path, _)| Some(path.segments.last()?.ident.to_string()));
        let outer = std::mem::replace(&mut self.of_trait, of_trait);
        self.within(type_name(&item.self_ty), |reader| visit::visit_item_impl(reader, item));
        self.of_trait = outer;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(Some(&item.vis), &item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(Some(&item.vis), &item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(None, &item.sig, block);
        }
    }
}

/// `Foo` of `Foo<'a, T>` and of `&Foo`.
fn type_name(ty: &syn::Type) -> String {
    match ty {
        syn::Type::Path(path) => path.path.segments.last().map(|it| it.ident.to_string()).unwrap_or_default(),
        syn::Type::Reference(reference) => type_name(&reference.elem),
        syn::Type::Slice(slice) => type_name(&slice.elem),
        _ => "impl".to_owned(),
    }
}

/// Whether the return type hides which type it is, so that a `todo!` cannot stand for it.
pub fn returns_something_opaque(signature: &syn::Signature) -> bool {
    struct Opaque(bool);
    impl<'ast> Visit<'ast> for Opaque {
        fn visit_type_impl_trait(&mut self, _: &'ast syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut opaque = Opaque(false);
    opaque.visit_return_type(&signature.output);
    opaque.0
}

/// An argument, or a local of the given part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub name: String,
    pub mutable: bool,
    pub line: usize,
}

/// What the arguments and the given statements bind and no given statement reads: a warning each, unless
/// it is consumed.
pub fn unused<'a>(signature: &syn::Signature, given: impl Iterator<Item = &'a syn::Stmt>) -> Vec<Binding> {
    let mut bindings = Vec::new();
    for argument in &signature.inputs {
        match argument {
            syn::FnArg::Typed(argument) => bind(&argument.pat, &mut bindings),
            // An unread `self` is no warning, but one that need not be `mut` is.
            syn::FnArg::Receiver(it) if it.reference.is_none() && it.mutability.is_some() => {
                bindings.push(Binding { name: "self".into(), mutable: true, line: it.span().start().line });
            }
            syn::FnArg::Receiver(_) => {}
        }
    }
    for statement in given {
        let mut uses = Uses::default();
        if let syn::Stmt::Local(local) = statement {
            if let Some(init) = &local.init {
                uses.visit_local_init(init);
            }
            bindings.retain(|binding| !uses.names.contains(&binding.name));
            let mut bound = Vec::new();
            bind(&local.pat, &mut bound);
            // What is shadowed cannot be named any more.
            bindings.retain(|old| bound.iter().all(|new| new.name != old.name));
            bindings.extend(bound);
        } else {
            uses.visit_stmt(statement);
            bindings.retain(|binding| !uses.names.contains(&binding.name));
        }
    }
    bindings
}

fn bind(pattern: &syn::Pat, bindings: &mut Vec<Binding>) {
    struct Names<'a>(&'a mut Vec<Binding>);
    impl<'ast> Visit<'ast> for Names<'_> {
        fn visit_pat_ident(&mut self, it: &'ast syn::PatIdent) {
            let name = it.ident.to_string();
            // `None` parses as a name, too; `_x` says itself that it may stay unread.
            if !name.starts_with(|first: char| first.is_uppercase() || first == '_') {
                let (mutable, line) = (it.mutability.is_some(), it.span().start().line);
                self.0.push(Binding { name, mutable, line });
            }
            visit::visit_pat_ident(self, it);
        }
    }
    Names(bindings).visit_pat(pattern);
}

/// The names that expressions read.
#[derive(Default)]
struct Uses {
    names: Vec<String>,
}

impl Uses {
    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(name) => self.names.push(name.to_string()),
                TokenTree::Group(group) => self.tokens(group.stream()),
                // `{name}` and `{name:?}` in a format string
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    let names = text.split('{').skip(1).filter_map(|part| part.split([':', '}']).next());
                    self.names.extend(names.map(str::to_owned));
                }
                TokenTree::Punct(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_expr_path(&mut self, it: &'ast syn::ExprPath) {
        self.names.extend(it.path.get_ident().map(ToString::to_string));
        visit::visit_expr_path(self, it);
    }

    fn visit_macro(&mut self, it: &'ast syn::Macro) {
        self.tokens(it.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(text: &str) -> Vec<Function> {
        all(&syn::parse_file(text).unwrap())
    }

    /// What is unused in the last function's body.
    fn left(text: &str) -> Vec<String> {
        let function = functions(text).pop().unwrap();
        let unused = unused(&function.signature, function.statements.iter());
        unused.into_iter().map(|binding| binding.name).collect()
    }

    #[test]
    fn functions_are_named_by_their_way_down() {
        let text = "
            fn a() { fn inner() {} }
            impl<T> B<T> { pub fn b(&self) {} }
            impl fmt::Display for &B<u8> { fn fmt(&self) {} }
            trait C { fn none(); fn c() {} }
            mod m { fn d() {} }";
        let functions = functions(text);
        let paths: Vec<_> = functions.iter().map(Function::key).collect();
        let display = ("B::fmt", Some("Display"));
        let expected =
            [("a", None), ("a::inner", None), ("B::b", None), display, ("C::c", None), ("m::d", None)];
        assert_eq!(paths, expected);
    }

    #[test]
    fn what_the_given_part_reads_needs_no_consumption() {
        assert_eq!(left("fn f(a: u8, b: u8, _c: u8) { let d = a; }"), ["b", "d"]);
        assert_eq!(left("fn f(&self, (a, b): (u8, u8)) { g(b); }"), ["a"]);
        assert_eq!(left("fn f(Pair { a, b: c }: Pair) { let Some(x) = c else { return }; }"), ["a", "x"]);
        assert_eq!(left("fn f(a: u8) { let a = a + 1; }"), ["a"]);
        assert_eq!(left("fn f(a: u8, b: u8, c: u8) { write!(out, \"{a} {b:?}\", c.d); }"), [""; 0]);
        assert_eq!(left("fn f(a: u8) { let c = || a; let s = S { c }; }"), ["s"]);
        assert_eq!(left("fn f(mut self) {}"), ["self"]);
    }

    #[test]
    fn an_opaque_return_type_is_seen_wherever_it_hides() {
        let opaque = |text: &str| returns_something_opaque(&functions(text)[0].signature);
        assert!(opaque("fn f() -> Option<impl Iterator<Item = u8>> {}"));
        assert!(!opaque("fn f(x: impl Iterator) -> Box<dyn Iterator<Item = u8>> {}"));
    }
}
