package page

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"

	"certportal/internal/catalogue"
)

// messages finds sentences by language and key, and fills them.
type messages struct{ *catalogue.Catalogue }

// words is text from the catalogue itself, such as a date: a sentence that includes it
// does not isolate it.
type words string

// Values are replaced by marks first, so that asterisks or braces in a name are never
// read as markup. The marks are private-use characters, which no catalogue contains.
const (
	markOpen  = '\ue000'
	markClose = '\ue001'
)

// sentence finds a sentence and fills it. args are pairs of a name and a value;
// the value named Count, a number, also picks the plural form (CLDR).
func (m messages) sentence(lang, key string, args ...any) (sentence, error) {
	if len(args)%2 != 0 {
		return nil, fmt.Errorf("filling sentence %s: odd number of arguments", key)
	}
	data := map[string]string{}
	var values []segment
	var count *int
	for i := 0; i < len(args); i += 2 {
		name, ok := args[i].(string)
		if !ok {
			return nil, fmt.Errorf("filling sentence %s: argument %d is no name", key, i)
		}
		switch value := args[i+1].(type) {
		case int:
			data[name] = m.number(lang, name, value)
			if name == "Count" {
				count = &value
			}
		case words:
			data[name] = string(value)
		case moment:
			data[name] = mark(len(values))
			values = append(values, segment{moment: value})
		default:
			data[name] = mark(len(values))
			values = append(values, segment{moment: moment{Text: fmt.Sprint(value)}, Value: true})
		}
	}
	text, err := m.Localize(lang, key, data, count)
	var missing *i18n.MessageNotFoundErr
	// A sentence that one language lacks is shown in English; that none lacks any
	// is tested.
	if err != nil && (text == "" || !errors.As(err, &missing)) {
		return nil, fmt.Errorf("finding sentence %s: %w", key, err)
	}
	return parseSentence(text, values)
}

// number writes a value. Quantities get the language's separator of thousands; others,
// such as years and numbers of lists, are names.
func (m messages) number(lang, name string, value int) string {
	switch name {
	case "Count", "Ended", "Finished", "Limit":
		if separator, err := m.Localize(lang, "number.thousands", nil, nil); err == nil {
			return grouped(value, separator)
		}
	}
	return strconv.Itoa(value)
}

// mark takes the place of the value with this number.
func mark(number int) string { return string(markOpen) + strconv.Itoa(number) + string(markClose) }

// segment is a piece of a sentence: its text, which is a time if it has a stamp.
type segment struct {
	moment
	Strong bool // between ** and **
	Value  bool // filled in: text that a person chose, of any direction
}

// sentence is a text of the catalogue, filled. As a string it is plain text; the
// partial "rich" writes it with bold words and values set apart.
type sentence []segment

// String is the sentence as plain text.
func (s sentence) String() string {
	var b strings.Builder
	for _, piece := range s {
		b.WriteString(piece.Text)
	}
	return b.String()
}

// parseSentence cuts the text at ** and at the marks of values.
func parseSentence(text string, values []segment) (sentence, error) {
	var s sentence
	for i, part := range strings.Split(text, "**") {
		strong := i%2 == 1
		for part != "" {
			before, rest, found := strings.Cut(part, string(markOpen))
			if before != "" {
				s = append(s, segment{moment: moment{Text: before}, Strong: strong})
			}
			if !found {
				break
			}
			number, after, _ := strings.Cut(rest, string(markClose))
			n, err := strconv.Atoi(number)
			if err != nil || n < 0 || n >= len(values) {
				return nil, fmt.Errorf("filling sentence %q: no value %q", text, number)
			}
			value := values[n]
			value.Strong = strong
			s, part = append(s, value), after
		}
	}
	return s, nil
}
