package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
	"go.yaml.in/yaml/v3"
)

// envPrefix opens the name of every environment variable the portal reads.
const envPrefix = "CERTPORTAL_"

// Load reads the defaults, then the file if one is named, then the environment, and
// checks the result. The error names file, line, key and reason of every mistake. The
// settings are returned with the error, as far as they were read.
func Load(file string, environ map[string]string) (*Settings, error) {
	fresh := Defaults()
	s := &fresh
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return s, fmt.Errorf("reading settings: %w", err)
		}
		if err := decodeSettings(text, s); err != nil {
			return s, fmt.Errorf("settings %s: %w", file, err)
		}
		if err := checkSettingsFile(file, s.Database); err != nil {
			return s, fmt.Errorf("settings %s: %w", file, err)
		}
	}
	if err := overlayEnvironment(s, environ); err != nil {
		return s, err
	}
	if err := s.Check(); err != nil {
		if file != "" {
			err = fmt.Errorf("settings %s: %w", file, err)
		}
		return s, err
	}
	return s, nil
}

// decodeSettings decodes one YAML document over the settings. An unknown key is an
// error that names the nearest known one.
func decodeSettings(text []byte, s *Settings) error {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return err
	}
	if len(doc.Content) == 0 {
		return nil // an empty file is all defaults
	}
	if err := unknownKeys(doc.Content[0], reflect.TypeFor[Settings](), ""); err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(s); err != nil {
		return err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("more than one document in the file")
	}
	return nil
}

// unknownKeys walks the document beside the type and collects what the type
// does not know.
func unknownKeys(n *yaml.Node, t reflect.Type, path string) error {
	var errs []error
	switch {
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, item := range n.Content {
			errs = append(errs, unknownKeys(item, t.Elem(), path))
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		fields := yamlFields(t)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			field, ok := fields[key.Value]
			if !ok {
				errs = append(errs, unknownKey(key, fields, path))
				continue
			}
			errs = append(errs, unknownKeys(n.Content[i+1], field, path+key.Value+"."))
		}
	}
	return errors.Join(errs...)
}

func unknownKey(key *yaml.Node, fields map[string]reflect.Type, path string) error {
	hint := ""
	if near := nearest(key.Value, fields); near != "" {
		hint = fmt.Sprintf("; did you mean %s%s?", path, near)
	}
	return fmt.Errorf("line %d: unknown key %s%s%s", key.Line, path, key.Value, hint)
}

// yamlFields maps the keys of a settings struct to the types of their values.
func yamlFields(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		fields[f.Tag.Get("yaml")] = f.Type
	}
	return fields
}

// nearest returns the known key with the smallest edit distance, or "" when all are
// far.
func nearest[T any](word string, known map[string]T) string {
	best, least := "", len(word)/2+2
	for key := range known {
		if d := distance(word, key); d < least || d == least && best != "" && key < best {
			best, least = key, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// overlayEnvironment lets environment variables win over the file. A variable with
// the prefix that belongs to no setting is an error like an unknown key.
func overlayEnvironment(s *Settings, environ map[string]string) error {
	keys := environmentKeys(reflect.TypeFor[Settings](), envPrefix, envPrefix)
	// Container platforms set these for a service named like the portal.
	foreign := regexp.MustCompile(`^CERTPORTAL_(SERVICE_(HOST|PORT)|PORT)(_.*)?$`)
	anchor := regexp.MustCompile(`^CERTPORTAL_ANCHORS_([0-9]+)_(NAME|FILE)$`)
	values := map[string]string{}
	for name, value := range environ {
		if key, ok := keys[name]; ok {
			values[key] = value
			continue
		}
		if m := anchor.FindStringSubmatch(name); m != nil {
			values[envPrefix+"anchors_"+m[1]+"_"+strings.ToLower(m[2])] = value
			continue
		}
		if !strings.HasPrefix(name, envPrefix) || foreign.MatchString(name) {
			continue
		}
		hint := ""
		if near := nearest(name, keys); near != "" {
			hint = "; did you mean " + near + "?"
		}
		return fmt.Errorf("environment: unknown variable %s%s", name, hint)
	}
	err := env.ParseWithOptions(s, env.Options{Prefix: envPrefix, Environment: values, TagName: "yaml", PrefixTagName: "yaml"})
	if err != nil {
		return fmt.Errorf("reading environment: %w", namedMistake(err, environ))
	}
	return nil
}

// environmentKeys maps the variable of each setting, its YAML keys in capitals joined
// by "_", to the name under which the env library looks it up: the same keys as they
// are, with nothing between them.
func environmentKeys(t reflect.Type, variable, key string) map[string]string {
	keys := map[string]string{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("yaml")
		v, k := variable+strings.ToUpper(tag), key+tag
		switch {
		case f.Type.Kind() == reflect.Struct:
			maps.Copy(keys, environmentKeys(f.Type, v+"_", k))
			continue
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			continue // a list of structs has variables with an index only
		}
		keys[v] = k
	}
	return keys
}

// namedMistake adds the names of the variables, because the library names Go fields.
func namedMistake(err error, environ map[string]string) error {
	var parse env.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	var names []string
	for name := range environ {
		if strings.HasPrefix(name, envPrefix) && strings.HasSuffix(strings.ReplaceAll(name, "_", ""), strings.ToUpper(parse.Name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return fmt.Errorf("%s: %w", strings.Join(names, ", "), err)
}

// Environment is the process environment as a map.
func Environment() map[string]string {
	vars := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	return vars
}

// settingKeys lists the keys of a settings struct in the order of the file.
func settingKeys(t reflect.Type) []string {
	keys := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("yaml"))
	}
	return keys
}
