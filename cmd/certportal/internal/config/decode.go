package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decodeSettings reads one YAML document over the settings. It reads every value that can
// be read and records every mistake, so that one does not hide the next. It reports
// whether the whole text was read: after a mistake of YAML itself, only the lines before it
// are.
func decodeSettings(text []byte, s *Settings, r *review) (whole bool) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var doc yaml.Node
	whole = true
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		whole = false
		doc = r.brokenYAML(text, err)
	} else if err == nil && !errors.Is(dec.Decode(new(yaml.Node)), io.EOF) {
		r.list = append(r.list, Mistake{Text: "more than one document in the file: remove the lines --- and ..., and what follows them"})
	}
	if len(doc.Content) > 0 { // an empty file is all defaults
		r.section(doc.Content[0], reflect.ValueOf(s).Elem(), "")
	}
	return whole
}

// value reads a node into a setting of any type.
func (r *review) value(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return // a key without a value leaves the default
	}
	if text, ok := v.Addr().Interface().(*Text); ok && n.Kind == yaml.MappingNode {
		r.texts(n, text, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		r.section(n, v, path)
	case reflect.Slice:
		r.sequence(n, v, path)
	default:
		if n.Kind != yaml.ScalarNode {
			r.unreadable(path, n.Line, "found "+shape(n)+": "+wanted(v))
		} else if err := n.Decode(v.Addr().Interface()); err != nil {
			r.unreadable(path, n.Line, fmt.Sprintf("found %q: %s", n.Value, wanted(v)))
		}
	}
}

// section reads the keys of a mapping.
func (r *review) section(n *yaml.Node, v reflect.Value, path string) {
	fields := yamlFields(v.Type())
	if n.Kind != yaml.MappingNode {
		r.unreadable(path, n.Line, fmt.Sprintf("found %s: write its keys in the lines below it, indented by two spaces: %s",
			shape(n), strings.Join(firstKeys(v.Type()), ", ")))
		return
	}
	if path != "" {
		path += "."
	}
	first, keys := map[string]int{}, settingKeys(v.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, below := n.Content[i], n.Content[i+1]
		at := path + key.Value
		_, known := fields[key.Value]
		switch line, twice := first[key.Value]; {
		case key.Kind != yaml.ScalarNode || !known:
			r.unknownKey(key, fields, path)
		case twice:
			r.list = append(r.list, Mistake{at, key.Line, fmt.Sprintf("it is in line %d already: remove one of the two", line)})
		default:
			first[key.Value], r.lines[at] = key.Line, key.Line
			r.value(below, v.Field(slices.Index(keys, key.Value)), at)
		}
	}
}

// firstKeys are some keys of a section, as an example.
func firstKeys(t reflect.Type) []string {
	keys := settingKeys(t)
	if len(keys) > 4 {
		keys = append(slices.Clip(keys[:4]), "…")
	}
	return keys
}

// sequence reads a list.
func (r *review) sequence(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		r.unreadable(path, n.Line, "found "+shape(n)+": "+wantedList(n, v, path))
		return
	}
	if names := cutNames(n); names != "" {
		r.unreadable(path, n.Line, "found a distinguished name without quotes, which is cut at each comma: write "+lastKey(path)+": ["+names+"]")
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.lines[at] = item.Line
		if item.Kind == yaml.ScalarNode && item.ShortTag() == "!!null" {
			r.unreadable(at, item.Line, "found nothing: write a value, or remove the entry")
			continue
		}
		r.value(item, list.Index(i), at)
	}
	v.Set(list)
}

// unknownKey records a key that no setting has, with the settings that may be meant. What
// is missed because of it is not a second mistake.
func (r *review) unknownKey(key *yaml.Node, fields map[string]reflect.Type, path string) {
	text := "unknown key"
	if key.Kind != yaml.ScalarNode {
		r.list = append(r.list, Mistake{strings.TrimSuffix(path, "."), key.Line, "found " + shape(key) + " in place of a key: write KEY: VALUE"})
		return
	}
	if elsewhere := settingsCalled(reflect.TypeFor[Settings](), "", key.Value); len(elsewhere) > 0 {
		text += fmt.Sprintf("; there is %s: write it below %s", strings.Join(elsewhere, " and "), sectionsOf(elsewhere))
		r.wrong = append(r.wrong, elsewhere...)
	} else if near := nearest(key.Value, fields); near != "" {
		text += "; did you mean " + path + near + "?"
		r.wrong = append(r.wrong, path+near)
	}
	r.list = append(r.list, Mistake{path + key.Value, key.Line, text})
}

// settingsCalled lists the settings and sections whose last key is name.
func settingsCalled(t reflect.Type, path, name string) (found []string) {
	for i, key := range settingKeys(t) {
		if key == name {
			found = append(found, path+key)
		}
		if field := t.Field(i).Type; field.Kind() == reflect.Struct {
			found = append(found, settingsCalled(field, path+key+".", name)...)
		}
	}
	return found
}

func sectionsOf(keys []string) string {
	var sections []string
	for _, key := range keys {
		section := parentKey(key)
		if section == "" {
			section = "no other key, without indentation"
		}
		sections = append(sections, section)
	}
	return strings.Join(sections, " or ")
}
