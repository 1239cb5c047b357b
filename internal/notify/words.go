package notify

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/nicksnyder/go-i18n/v2/i18n/template"
	"golang.org/x/text/language"
)

// The languages of the catalogues, as the pages name them.
const (
	english = "en"
	german  = "de"
	chinese = "zh-Hans"
)

func languages() []string { return []string{english, german, chinese} }

// catalogue finds the sentences of letters. They are text without markup: HTML is
// made of them later, and escaped there.
type catalogue struct {
	localizers map[string]*i18n.Localizer
	location   *time.Location
}

func readCatalogue(files fs.FS, location *time.Location) (*catalogue, error) {
	c := &catalogue{localizers: make(map[string]*i18n.Localizer), location: location}
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	for _, lang := range languages() {
		data, err := fs.ReadFile(files, "locales/"+lang+".json")
		if err != nil {
			return nil, fmt.Errorf("reading catalogue of mail: %w", err)
		}
		if _, err := bundle.ParseMessageFileBytes(data, lang+".json"); err != nil {
			return nil, fmt.Errorf("parsing catalogue %s: %w", lang, err)
		}
		c.localizers[lang] = i18n.NewLocalizer(bundle, lang)
	}
	return c, nil
}

// values fill a sentence. Count also picks the plural form.
type values map[string]any

// sentence finds a sentence and fills it. A missing one is an error: half a letter
// is never sent.
func (c *catalogue) sentence(lang, key string, v values) (string, error) {
	localizer, ok := c.localizers[lang]
	if !ok {
		localizer = c.localizers[english]
	}
	filled := make(map[string]string, len(v))
	config := &i18n.LocalizeConfig{
		MessageID: key, TemplateData: filled,
		TemplateParser: &template.TextParser{Option: "missingkey=error"},
	}
	for name, value := range v {
		filled[name] = plain(fmt.Sprint(value))
		if n, ok := value.(int); ok && name == "Count" {
			config.PluralCount = n
		}
	}
	text, err := localizer.Localize(config)
	if err != nil {
		return "", fmt.Errorf("finding sentence %s in %s: %w", key, lang, err)
	}
	return text, nil
}

// moment is a time as people of a language write it, with its zone.
func (c *catalogue) moment(lang string, at time.Time) (string, error) {
	at = at.In(c.location)
	month, err := c.sentence(lang, "month."+strconv.Itoa(int(at.Month())), nil)
	if err != nil {
		return "", err
	}
	date, err := c.sentence(lang, "date", values{"Day": at.Day(), "Month": month, "Year": at.Year()})
	if err != nil {
		return "", err
	}
	zone := at.Format("MST")
	if zone != "" && (zone[0] == '+' || zone[0] == '-') {
		zone = "UTC" + zone // a zone without a name
	}
	return c.sentence(lang, "mail.moment", values{"Date": date, "Time": at.Format("15:04"), "Zone": zone})
}
