package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"certportal/internal/audit"
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
