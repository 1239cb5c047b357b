package page

import (
	"bytes"

	"certportal/internal/escape"
)

// showHidden shows the hidden characters of a staff page. It works on the whole page,
// so that no value can be forgotten: staff act on people and devices by what the page
// says of them. Values of form fields stay as they are, because the form sends them back.
func showHidden(html []byte) []byte {
	const field = ` value="` // html/template escapes quotes, so no text holds it
	var shown []byte
	for {
		i := bytes.Index(html, []byte(field))
		if i < 0 {
			return append(shown, escape.Text(html)...)
		}
		start := i + len(field)
		end := start + bytes.IndexByte(html[start:], '"') + 1
		shown = append(append(shown, escape.Text(html[:start])...), html[start:end]...)
		html = html[end:]
	}
}
