package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write example.yaml anew")

// example.yaml is generated from the declarations of the settings, so that the two
// cannot differ: go test ./cmd/certportal/internal/config -run ExampleFile -update
func TestExampleFile(t *testing.T) {
	want, err := renderExample()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("example.yaml", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if Example() != want {
		t.Error("example.yaml does not match the declarations: run this test with -update")
	}
}

// Two settings must not share a variable.
func TestEnvironmentNamesAreUnique(t *testing.T) {
	var count func(reflect.Type) int
	count = func(typ reflect.Type) (n int) {
		for i := range typ.NumField() {
			switch field := typ.Field(i).Type; {
			case field.Kind() == reflect.Struct:
				n += count(field)
			case field.Kind() != reflect.Slice || field.Elem().Kind() != reflect.Struct:
				n++
			}
		}
		return n
	}
	s := Defaults()
	if got, want := len(variables(reflect.ValueOf(&s).Elem(), envPrefix, "")), count(reflect.TypeFor[Settings]()); got != want {
		t.Errorf("%d variables for %d settings", got, want)
	}
}

// renderExample renders all settings as YAML from their declarations.
func renderExample() (string, error) {
	docs, err := settingDocs()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# Settings of certportal. Every value below is the default.\n" +
		"# Each can also be given as an environment variable: CERTPORTAL_ and the key in\n" +
		"# capitals, with _ for the dots, such as CERTPORTAL_TLS_CERTIFICATE.\n")
	if err := exampleStruct(&b, reflect.ValueOf(Defaults()), docs, ""); err != nil {
		return "", err
	}
	return b.String(), nil
}

// settingDocs reads the comments of all fields, by "Type.Field".
func settingDocs() (map[string]string, error) {
	docs := map[string]string{}
	names, err := filepath.Glob("settings*.go")
	if err != nil {
		return nil, fmt.Errorf("reading own settings: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading own settings: %w", err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("reading own settings: %w", err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if fields, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range fields.Fields.List {
					docs[spec.Name.Name+"."+f.Names[0].Name] = f.Doc.Text()
				}
			}
			return false
		})
	}
	return docs, nil
}

func exampleStruct(b *strings.Builder, v reflect.Value, docs map[string]string, indent string) error {
	for i, key := range settingKeys(v.Type()) {
		field, name := v.Field(i), v.Type().Field(i).Name
		comment(b, docs[v.Type().Name()+"."+name], indent)
		if field.Kind() == reflect.Struct {
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			if err := exampleStruct(b, field, docs, indent+"  "); err != nil {
				return err
			}
			continue
		}
		if field.Type() == reflect.TypeFor[[]UpstreamSettings]() {
			exampleEntry(b, key, field.Type().Elem(), docs)
			continue
		}
		if err := exampleValue(b, key, field, indent); err != nil {
			return err
		}
	}
	return nil
}

// exampleEntry writes the fields of one entry of a list, all as comments.
func exampleEntry(b *strings.Builder, key string, entry reflect.Type, docs map[string]string) {
	fmt.Fprintf(b, "#%s:\n", key)
	mark := "- "
	for i, name := range settingKeys(entry) {
		for line := range strings.Lines(docs[entry.Name()+"."+entry.Field(i).Name]) {
			b.WriteString(strings.TrimRight("#    # "+strings.TrimSpace(line), " ") + "\n")
		}
		fmt.Fprintf(b, "#  %s%s:\n", mark, name)
		mark = "  "
	}
}

// comment writes the doc of a field above it.
func comment(b *strings.Builder, doc, indent string) {
	b.WriteString("\n")
	for line := range strings.Lines(doc) {
		b.WriteString(strings.TrimRight(indent+"# "+strings.TrimSpace(line), " ") + "\n")
	}
}

// exampleValue writes one setting; one without a default as a comment.
func exampleValue(b *strings.Builder, key string, field reflect.Value, indent string) error {
	if field.Kind() == reflect.Slice && field.Type().Elem() == reflect.TypeFor[AnchorSettings]() {
		fmt.Fprintf(b, "%s#%s:\n%s#  - name: Corp Root CA\n%s#    file: /etc/certportal/corp-root.cer\n", indent, key, indent, indent)
		return nil
	}
	if field.IsZero() {
		fmt.Fprintf(b, "%s#%s:\n", indent, key)
		return nil
	}
	var node yaml.Node
	if err := node.Encode(field.Interface()); err != nil {
		return fmt.Errorf("writing default of %s: %w", key, err)
	}
	node.Style |= yaml.FlowStyle
	text, err := yaml.Marshal(&node)
	if err != nil {
		return fmt.Errorf("writing default of %s: %w", key, err)
	}
	fmt.Fprintf(b, "%s%s: %s", indent, key, text)
	return nil
}
