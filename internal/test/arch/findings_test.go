package arch

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestFindingsAreInTheCatalogue compares the English sentences of findings in the code with
// those of the pages: the same words, the same number of values. A sentence of the catalogue
// that no code says is reported, too.
func TestFindingsAreInTheCatalogue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "templates", "locales", "en.json"))
	if err != nil {
		t.Fatal(err)
	}
	var catalogue map[string]any
	if err := json.Unmarshal(text, &catalogue); err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			for key, format := range sentences(t, filepath.Join(p.Dir, name)) {
				said["admin.detail."+key] = true
				if got := catalogue["admin.detail."+key]; got != inCatalogue(format) {
					t.Errorf("%s: %s: the catalogue says %q, want %q", name, key, got, inCatalogue(format))
				}
			}
		}
	}
	if len(said) < 100 {
		t.Errorf("found %d sentences: did the functions change their names?", len(said))
	}
	for key := range catalogue {
		if strings.HasPrefix(key, "admin.detail.") && !said[key] {
			t.Errorf("no code says %s", key)
		}
	}
}

// inCatalogue writes a format of fmt.Sprintf as the catalogues do.
func inCatalogue(format string) string {
	n := 0
	return regexp.MustCompile(`%[a-z]`).ReplaceAllStringFunc(format, func(string) string {
		n++
		return fmt.Sprintf("{{.%c}}", 'A'+n-1)
	})
}

// sentences are those of a file: calls of portal.Say and of the functions over it, whose
// arguments hold a key and behind it a format.
func sentences(t *testing.T, file string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	key := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	ast.Inspect(parsed, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !saysFinding(call) {
			return true
		}
		for i := range len(call.Args) - 1 {
			first, isText := literal(call.Args[i])
			second, alsoText := literal(call.Args[i+1])
			if isText && alsoText && key.MatchString(first) && strings.Contains(second, " ") {
				found[first] = second
				break
			}
		}
		return true
	})
	return found
}

// saysFinding reports whether a function makes a finding of a key and a format.
func saysFinding(call *ast.CallExpr) bool {
	name := ""
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
	}
	return name == "Say" || name == "add" || name == "fail"
}

// literal is the value of a text in the code, which may be put together.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, ok := literal(e.X)
		right, also := literal(e.Y)
		return left + right, ok && also && e.Op == token.ADD
	}
	return "", false
}
