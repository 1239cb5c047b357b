package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// source is a parsed file of the module.
type source struct {
	pkg  string // without the module's path
	name string // of the file
	file *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

// sources returns all Go files of the module, with comments.
func sources(t *testing.T) []source {
	t.Helper()
	list, err := parseSources()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var parseSources = sync.OnceValues(func() ([]source, error) {
	packages, err := listPackages()
	if err != nil {
		return nil, err
	}
	var list []source
	for _, p := range packages {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			list = append(list, source{p.name(), filepath.Base(name), file})
		}
	}
	return list, nil
})

// Files that are built on one system or under the race detector only are easily
// forgotten when a package is renamed.
func TestFilesOfAFolderShareAPackage(t *testing.T) {
	names := make(map[string]string)
	for _, s := range sources(t) {
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		if names[s.pkg] == "" {
			names[s.pkg] = name
		}
		if names[s.pkg] != name {
			t.Errorf("%s/%s is of package %s, others of the folder are of %s: rename it", s.pkg, s.name, name, names[s.pkg])
		}
	}
}

// The package doc says what a package holds and refuses.
func TestPackagesAreDocumented(t *testing.T) {
	documented := make(map[string]bool)
	for _, s := range sources(t) {
		documented[s.pkg] = documented[s.pkg] || s.file.Doc != nil && !s.test()
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s has no package doc: add one to the file that bears its name", pkg)
		}
	}
}

// maxMethods is how many methods a type may have.
const maxMethods = 100

func TestTypesStaySmall(t *testing.T) {
	methods := make(map[string]int)
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && !s.test() {
				methods[s.pkg+"."+receiver(f)]++
			}
		}
	}
	for name, n := range methods {
		if n > maxMethods {
			t.Errorf("%s has %d methods, at most %d: split its subjects into types of their own", name, n, maxMethods)
		}
	}
}

func receiver(f *ast.FuncDecl) string {
	kind := f.Recv.List[0].Type
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.IndexListExpr:
			kind = k.X
		case *ast.Ident:
			return k.Name
		default:
			return ""
		}
	}
}

// TestFixturesAreDefinedOnce keeps helpers of tests in testkit.
func TestFixturesAreDefinedOnce(t *testing.T) {
	replacements := fixtures()
	for _, s := range sources(t) {
		if !s.test() || strings.HasPrefix(s.pkg, testPackages+"testkit") {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && replacements[f.Name.Name] != "" {
				t.Errorf("%s/%s defines %s: use %s", s.pkg, s.name, f.Name.Name, replacements[f.Name.Name])
			}
		}
		for _, name := range typesOf(s.file) {
			if replacements[name] != "" {
				t.Errorf("%s/%s defines %s: use %s", s.pkg, s.name, name, replacements[name])
			}
		}
	}
}

// fixtures lists helpers that packages had copies of, and what to use instead.
func fixtures() map[string]string {
	return map[string]string{
		"must": "testkit.Must", "equal": "testkit.Equal", "contains": "testkit.Contains",
		"awaited": "testkit.Eventually", "eventually": "testkit.Eventually", "logged": "testkit.Log",
	}
}

func typesOf(file *ast.File) []string {
	var names []string
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			for _, spec := range g.Specs {
				names = append(names, spec.(*ast.TypeSpec).Name.Name)
			}
		}
	}
	return names
}

// privateWords finds words that make a reader look twice, where plain English names
// the subject: "the client", "the person", "no one".
func privateWords() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(whoever|whatever|whomever|whichever|whyever|somebody|nobody|everybody|anybody|whom|` +
		`told|tells|tell|heed|heeds|meanwhile|stands|thereof|whence|wherever)\b`)
}

// privatePerThousand bounds the private words in a thousand words of comment.
const privatePerThousand = 1

// This package lists the words and is left out.
func TestCommentsArePlain(t *testing.T) {
	words, found := make(map[string]int), make(map[string][]string)
	total, hits, private := 0, 0, privateWords()
	for _, s := range sources(t) {
		if s.pkg == testPackages+"arch" {
			continue
		}
		for _, group := range s.file.Comments {
			text := group.Text()
			n, hit := len(strings.Fields(text)), private.FindAllString(text, -1)
			words[s.pkg] += n
			total, hits = total+n, hits+len(hit)
			if len(hit) > 0 {
				found[s.pkg] = append(found[s.pkg], s.name+": "+strings.Join(hit, ", "))
			}
		}
	}
	if hits*1000 < privatePerThousand*total {
		return
	}
	t.Errorf("comments hold %d private words in %d: name the subject and use the field's term", hits, total)
	for pkg, lines := range found {
		if os.Getenv("CI") != "true" {
			t.Logf("%s (%d words): %s", pkg, words[pkg], strings.Join(lines, "; "))
		}
	}
}

// A certificate is recorded before it is signed, so the issuer's Sign is called in
// enroll only. Its one argument sets it apart from crypto.Signer's, which takes
// three; checkpoints of the audit log are literals that sign themselves. Clients of other
// CAs hold no issuing key: they sign tokens.
func TestOnlyEnrollSignsCertificates(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.pkg == "ca" || s.pkg == "internal/enroll" || strings.HasPrefix(s.pkg, testPackages) || strings.HasPrefix(s.pkg, "ca/upstream/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if own, ok := n.(*ast.FuncDecl); ok && own.Name.Name == "Sign" {
				return false // passes on what enroll calls
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if ok && f.Sel.Name == "Sign" && !isLiteral(f.X) {
				t.Errorf("%s/%s calls Sign: issue through enroll.OwnIssuer or the registrar, which record first", s.pkg, s.name)
			}
			return true
		})
	}
}

func isLiteral(x ast.Expr) bool {
	_, ok := x.(*ast.CompositeLit)
	return ok
}
