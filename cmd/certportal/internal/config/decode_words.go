package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// shape is what a node is, in the words of the reader of the file.
func shape(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys below it"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", n.Value)
}

// wanted says what to write for a setting that is one value. Its default is the example.
func wanted(v reflect.Value) string {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return "write a number with its unit, such as 5s, 15m or 24h"
	case v.Kind() == reflect.Bool:
		return "write true or false"
	case v.Kind() == reflect.Int:
		return "write a whole number, such as 7"
	}
	return "write one value"
}

// wantedList says how to write a list, with the value that was found in its place.
func wantedList(n *yaml.Node, v reflect.Value, path string) string {
	key := lastKey(path)
	if v.Type().Elem().Kind() == reflect.Struct {
		return fmt.Sprintf("write a list: begin each entry with a hyphen, %q", "- "+settingKeys(v.Type().Elem())[0]+": …")
	}
	if n.Kind != yaml.ScalarNode {
		return "write a list: " + key + ": [ONE, TWO]"
	}
	return "write a list: " + key + ": [" + quoted(n.Value) + "]"
}

func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// quoted writes a value as YAML in a list in brackets.
func quoted(value string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./ -]*$`).MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", "''") + "'"
}

// cutNames returns the distinguished names that commas in brackets have cut to pieces, put
// together and quoted; "" when none was. No group is called by a name of one part, such as
// OU=Staff.
func cutNames(n *yaml.Node) string {
	part := regexp.MustCompile(`(?i)^(OU|DC|O|L|ST|C)=`)
	var names []string
	cut := false
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || item.Style != 0 || n.Style&yaml.FlowStyle == 0 {
			return ""
		}
		if len(names) > 0 && part.MatchString(item.Value) {
			names[len(names)-1] += "," + item.Value
			cut = true
			continue
		}
		names = append(names, item.Value)
	}
	if !cut {
		return ""
	}
	for i := range names {
		names[i] = quoted(names[i])
	}
	return strings.Join(names, ", ")
}
