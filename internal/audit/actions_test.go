package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/test/testkit"
)

// All declared actions are listed: the pages have texts for listed ones.
func TestActionsListsAll(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "audit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []audit.Action
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Action" {
			name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, audit.Action(name))
		}
		return false
	})
	if got := audit.Actions(); !slices.Equal(got, declared) {
		t.Errorf("listed are %d actions\n%s\nwant the %d declared\n%s", len(got), got, len(declared), declared)
	}
}

// All actions are in the docs: programs that read an export look them up there.
func TestActionsAreInTheDocs(t *testing.T) {
	text := string(testkit.Must(os.ReadFile(filepath.Join(testkit.Root(t), "docs", "audit.md")))(t))
	for _, action := range audit.Actions() {
		if !strings.Contains(text, "\n| `"+string(action)+"` |") {
			t.Errorf("docs/audit.md lacks %s", action)
		}
	}
}
