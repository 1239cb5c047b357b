package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"certportal/internal/catalogue"
)

// Text is a setting that people read: one text for all, or one for each language. Its
// value is a [catalogue.Text], which an environment variable holds as it is.
type Text string

// texts reads a mapping of texts by language.
func (r *review) texts(n *yaml.Node, into *Text, path string) {
	all := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		lang, text := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(catalogue.Languages(), lang.Value):
			r.unreadable(path, lang.Line, fmt.Sprintf("found %q: the languages of the pages are %s", lang.Value, strings.Join(catalogue.Languages(), ", ")))
		case text.Kind != yaml.ScalarNode:
			r.unreadable(path, text.Line, "found "+shape(text)+": write one text for each language")
		default:
			all[lang.Value] = text.Value
		}
	}
	*into = Text(catalogue.NewText(all))
}
