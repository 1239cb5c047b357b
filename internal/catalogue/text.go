package catalogue

import (
	"slices"
	"strings"
)

// Text is what an administrator wrote for people, in one language or several: a line for
// all, and lines that begin with a language and a colon, "de: …", for its readers. A
// program that does not know this form shows all of it.
type Text string

// NewText joins texts by language; that of "" is for all other readers.
func NewText(byLanguage map[string]string) Text {
	var lines []string
	for _, lang := range append([]string{""}, Languages()...) {
		switch text := strings.Join(strings.Fields(byLanguage[lang]), " "); {
		case text == "":
		case lang == "":
			lines = append(lines, text)
		default:
			lines = append(lines, lang+": "+text)
		}
	}
	return Text(strings.Join(lines, "\n"))
}

// In returns the text for readers of a language: theirs, else the one for all, else
// English, else any.
func (t Text) In(lang string) string {
	all := t.split()
	for _, of := range append([]string{lang, "", English}, Languages()...) {
		if text := all[of]; text != "" {
			return text
		}
	}
	return ""
}

// split returns the lines by language, "" for the one for all.
func (t Text) split() map[string]string {
	all := map[string]string{}
	for line := range strings.SplitSeq(string(t), "\n") {
		lang, text, found := strings.Cut(line, ":")
		if lang = strings.TrimSpace(lang); !found || !slices.Contains(Languages(), lang) {
			lang, text = "", line
		}
		all[lang] = strings.TrimSpace(all[lang] + " " + strings.TrimSpace(text))
	}
	return all
}
