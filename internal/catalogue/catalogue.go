// Package catalogue reads the message catalogues under locales/ and looks up
// sentences by language and key. The pages and the mail share it.
//
// Catalogues are in the JSON format of go-i18n; plural forms follow CLDR. The package
// returns plain text and escapes nothing: the callers know whether it goes into HTML.
package catalogue

import (
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/nicksnyder/go-i18n/v2/i18n/template"
	"golang.org/x/text/language"
)

// The languages of the catalogues, as BCP 47 tags.
const (
	English = "en"
	German  = "de"
	Chinese = "zh-Hans"
)

// Languages lists the languages in the order in which the pages offer them.
func Languages() []string { return []string{English, German, Chinese} }

// Catalogue holds the sentences of all languages. It is safe for concurrent use once
// the last language is added.
type Catalogue struct {
	bundle     *i18n.Bundle
	localizers map[string]*i18n.Localizer
	keys       map[string]bool
}

// Read reads locales/{language}.json for each of [Languages].
func Read(files fs.FS) (*Catalogue, error) {
	c := &Catalogue{bundle: i18n.NewBundle(language.English), localizers: map[string]*i18n.Localizer{}, keys: map[string]bool{}}
	c.bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	for _, lang := range Languages() {
		name := "locales/" + lang + ".json"
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("reading catalogue %s: %w", name, err)
		}
		if err := c.Add(lang, data); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Add adds the sentences of a language.
func (c *Catalogue) Add(lang string, data []byte) error {
	file, err := c.bundle.ParseMessageFileBytes(data, lang+".json")
	if err != nil {
		return fmt.Errorf("parsing catalogue %s: %w", lang, err)
	}
	for _, message := range file.Messages {
		c.keys[message.ID] = true
	}
	c.localizers[lang] = i18n.NewLocalizer(c.bundle, lang)
	return nil
}

// Has reports whether any language has a sentence under the key.
func (c *Catalogue) Has(key string) bool { return c.keys[key] }

// Known returns lang if there is a catalogue for it, else English.
func (c *Catalogue) Known(lang string) string {
	if _, ok := c.localizers[lang]; ok {
		return lang
	}
	return English
}

// Localize fills the sentence with values. count, if not nil, picks the plural form. A
// sentence that only lang lacks is returned in English together with an
// [*i18n.MessageNotFoundErr]; a value that is missing is an error.
func (c *Catalogue) Localize(lang, key string, values map[string]string, count *int) (string, error) {
	config := &i18n.LocalizeConfig{
		MessageID: key, TemplateData: values,
		TemplateParser: &template.TextParser{Option: "missingkey=error"},
	}
	if count != nil {
		config.PluralCount = *count
	}
	return c.localizers[c.Known(lang)].Localize(config)
}
