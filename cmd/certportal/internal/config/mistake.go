package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong in the settings.
type Mistake struct {
	Key  string // dotted key or environment variable; empty for the file as a whole
	Line int    // in the settings file; 0 for what is not in it
	Text string // what was found, and what to write instead
}

// Error gives line, key and text.
func (m Mistake) Error() string {
	text := m.Text
	if m.Key != "" {
		text = m.Key + ": " + text
	}
	if m.Line > 0 {
		text = fmt.Sprintf("line %d: %s", m.Line, text)
	}
	return text
}

// Mistakes is the error of settings that cannot be used: every mistake once, in the order
// of the file.
type Mistakes struct {
	File string // empty without a file
	List []Mistake
}

// Error lists the mistakes, one a line.
func (m *Mistakes) Error() string {
	name := strings.TrimSpace("settings " + m.File)
	if len(m.List) == 1 {
		return name + ": " + m.List[0].Error()
	}
	lines := []string{fmt.Sprintf("%s: %d mistakes", name, len(m.List))}
	for _, one := range m.List {
		lines = append(lines, "  "+one.Error())
	}
	return strings.Join(lines, "\n")
}

// In reports whether a mistake concerns a section, or any part of it.
func (m *Mistakes) In(section string) bool {
	return slices.ContainsFunc(m.List, func(one Mistake) bool {
		return one.Key == section || strings.HasPrefix(one.Key, section+".") ||
			strings.HasPrefix(one.Key, envPrefix+strings.ToUpper(section)+"_")
	})
}

// Split takes the joined errors of Check and CheckFiles apart.
func Split(err error) []Mistake {
	r := &review{}
	r.add(err)
	return r.list
}

// review collects the mistakes of one reading of the settings.
type review struct {
	file  string
	lines map[string]int // where each key is in the file
	list  []Mistake

	// wrong are the keys whose value could not be read. What a check says of them
	// follows from that, and is left out.
	wrong []string

	said []string // keys of which an earlier check spoke
}

// add takes over what a check found, unless it follows from a value that could not be read
// or an earlier check spoke of the same key.
func (r *review) add(err error) {
	var saying []string
	for _, text := range leaves(err) {
		m := r.place(text)
		key := settingOf(m.Key)
		if slices.ContainsFunc(r.wrong, func(wrong string) bool { return follows(key, wrong) }) || slices.Contains(r.said, key) || slices.Contains(r.list, m) {
			continue
		}
		r.list = append(r.list, m)
		if key != "" {
			saying = append(saying, key)
		}
	}
	r.said = append(r.said, saying...)
}

// unreadable records a value that could not be read.
func (r *review) unreadable(key string, line int, text string) {
	r.list = append(r.list, Mistake{Key: key, Line: line, Text: withoutPassword(text)})
	r.wrong = append(r.wrong, key)
}

// err is the error of all mistakes, or nil.
func (r *review) err() error {
	if len(r.list) == 0 {
		return nil
	}
	slices.SortStableFunc(r.list, func(a, b Mistake) int {
		if (a.Line == 0) != (b.Line == 0) { // what is not in the file comes last
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	return &Mistakes{File: r.file, List: r.list}
}

// place finds key and line of an error of the form "key: text". The line of a key that is
// not in the file is that of its section.
func (r *review) place(text string) Mistake {
	key := settingOf(text)
	if key == "" {
		return Mistake{Text: text}
	}
	name, rest, found := strings.Cut(text, ": ")
	if !found {
		return Mistake{Text: text}
	}
	m := Mistake{Key: name, Text: rest}
	for at := key; at != "" && m.Line == 0; at = parentKey(at) {
		m.Line = r.lines[at]
	}
	return m
}

// settingOf is the setting with which a text begins, or "".
func settingOf(text string) string {
	key := regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)*(\[[0-9]+\])?(\.[a-z_]+)?`).FindString(text)
	if rest := text[len(key):]; key == "" || rest != "" && !strings.ContainsAny(rest[:1], ":, ") || !isSetting(key) {
		return ""
	}
	return key
}

// isSetting reports whether a dotted key names a setting or a section.
func isSetting(key string) bool {
	t := reflect.TypeFor[Settings]()
	for part := range strings.SplitSeq(regexp.MustCompile(`\[[0-9]+\]`).ReplaceAllString(key, ""), ".") {
		if t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return false
		}
		field, ok := yamlFields(t)[part]
		if !ok {
			return false
		}
		t = field
	}
	return true
}

// parentKey is the key around a key: the list of an entry, the section of a setting.
func parentKey(key string) string {
	return key[:max(0, strings.LastIndexAny(key, ".["))]
}

// follows reports whether a mistake of key follows from a value that could not be read. A
// kind that could not be read leaves the settings of the built-in directory in force.
func follows(key, wrong string) bool {
	if key == "" {
		return false
	}
	if wrong == "directory.kind" && strings.HasPrefix(key, "directory.") {
		return true
	}
	return key == wrong || strings.HasPrefix(key, wrong+".") || strings.HasPrefix(key, wrong+"[") || strings.HasPrefix(wrong, key+".")
}

// leaves are the texts of joined errors, each with what the errors around it say in front.
func leaves(err error) []string {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var texts []string
		for _, one := range joined.Unwrap() {
			texts = append(texts, leaves(one)...)
		}
		if strings.Join(texts, "\n") != err.Error() {
			return []string{err.Error()}
		}
		return texts
	}
	inner := errors.Unwrap(err)
	before, wraps := "", false
	if inner != nil {
		before, wraps = strings.CutSuffix(err.Error(), inner.Error())
	}
	if !wraps {
		return []string{err.Error()}
	}
	texts := leaves(inner)
	for i := range texts {
		texts[i] = before + texts[i]
	}
	return texts
}
