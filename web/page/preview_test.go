package page_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/web/page"
)

var preview = flag.String("preview", "", "write every sample page as a file into this folder, to be looked at")

func TestPreview(t *testing.T) {
	t.Parallel()
	if *preview == "" {
		t.Skip("looks at nothing unless -preview names a folder")
	}
	r := renderer(t)
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(*preview, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"app.css", "app.js", "staff.css"} {
		a, _ := r.Assets().Lookup(filepath.Base(r.Assets().Path(name)))
		write(name, a.Data)
	}
	beside := strings.NewReplacer(r.Assets().Path("staff.css"), "staff.css", r.Assets().Path("app.css"), "app.css", r.Assets().Path("app.js"), "app.js")
	for _, lang := range append(page.Languages(), "ar") {
		for _, s := range filled(lang) {
			write(s.name+"."+lang+".html", []byte(beside.Replace(string(render(t, r, s.page)))))
		}
	}
}
