// Package templates holds the pages and the language catalogues, and nothing
// else: layout.html is the frame, partials/ the pieces, pages/ one file per page,
// locales/ one catalogue per language in the form of go-i18n.
//
// Every sentence that people read stands in a catalogue. Between ** and ** it is
// bold; {{.Name}} is filled in. The package renders nothing: web/page does.
package templates

import "embed"

// Files are the templates and catalogues.
//
//go:embed layout.html partials/*.html pages/*.html locales/*.json
var Files embed.FS
