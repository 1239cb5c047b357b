// Package templates holds the pages and the language catalogues, and nothing
// else: layout.html is the layout, partials/ the parts, pages/ one file per page,
// locales/ one catalogue per language in the form of go-i18n.
//
// Every sentence that people read is in a catalogue. Text between ** and ** is bold;
// {{.Name}} is filled in. Package web/page renders them.
package templates

import "embed"

// Files are the templates and catalogues.
//
//go:embed layout.html partials/*.html pages/*.html locales/*.json
var Files embed.FS
