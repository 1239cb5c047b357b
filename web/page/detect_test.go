package page_test

import (
	"slices"
	"strings"
	"testing"

	"certportal/web/page"
)

func TestDetect(t *testing.T) {
	t.Parallel()
	const (
		iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
		ipadMac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
		chrome  = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
	)
	tests := []struct {
		name, ua, hint string
		want           page.Client
	}{
		{"iPhone Safari 26", iphone + "Version/26.1 Mobile/15E148 Safari/604.1", "", page.Client{Platform: "ios", Major: 26, Browser: "Safari", Mobile: true}},
		{"iPhone Safari 17", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1", "", page.Client{Platform: "ios", Major: 17, Browser: "Safari", Mobile: true}},
		{"old iPad", "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1", "", page.Client{Platform: "ios", Major: 12, Browser: "Safari", Mobile: true}},
		{"iPad or Mac", ipadMac + "Version/18.5 Safari/605.1.15", "", page.Client{Platform: "macos", Browser: "Safari", IPadMaybe: true}},
		{"iPhone Firefox", iphone + "FxiOS/144.0 Mobile/15E148 Safari/605.1.15", "", page.Client{Platform: "ios", Major: 18, Browser: "Firefox", Mobile: true}},
		{"iPhone Chrome", iphone + "CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1", "", page.Client{Platform: "ios", Major: 18, Browser: "Chrome", Mobile: true}},
		{"iPhone Edge", iphone + "Version/18.0 EdgiOS/142.0.0.0 Mobile/15E148 Safari/605.1.15", "", page.Client{Platform: "ios", Major: 18, Browser: "Edge", Mobile: true}},
		{"iPhone DuckDuckGo", iphone + "Version/18.6 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15", "", page.Client{Platform: "ios", Major: 18, Browser: "DuckDuckGo", Mobile: true}},
		{"iPhone DuckDuckGo new", iphone + "Version/18.6 Mobile/15E148 Safari/604.1 Ddg/18.6", "", page.Client{Platform: "ios", Major: 18, Browser: "DuckDuckGo", Mobile: true}},
		{"iPhone Focus", iphone + "FxiOS/144.0 Focus/144 Mobile/15E148 Safari/605.1.15", "", page.Client{Platform: "ios", Major: 18, Browser: "Firefox", Mobile: true}},
		{"iPhone Google app", iphone + "GSA/390.0.822222 Mobile/15E148 Safari/604.1", "", page.Client{Platform: "ios", Major: 18, Browser: "Google", Mobile: true}},
		{"iPhone WeChat", iphone + "Mobile/15E148 MicroMessenger/8.0.61(0x18003d2d) NetType/WIFI Language/zh_CN", "", page.Client{Platform: "ios", Major: 18, InApp: "WeChat", Mobile: true}},
		{"iPhone WeCom", iphone + "Mobile/15E148 wxwork/4.1.36 MicroMessenger/7.0.1 Language/zh", "", page.Client{Platform: "ios", Major: 18, InApp: "WeCom", Mobile: true}},
		{"iPhone Facebook", iphone + "Mobile/22G86 [FBAN/FBIOS;FBAV/530.0.0.41.77;FBBV/811;FBDV/iPhone16,1]", "", page.Client{Platform: "ios", Major: 18, InApp: "Facebook", Mobile: true}},
		{"iPhone Instagram", iphone + "Mobile/22G86 Instagram 400.0.0.30.77 (iPhone16,1; iOS 18_6; de_DE)", "", page.Client{Platform: "ios", Major: 18, InApp: "Instagram", Mobile: true}},
		{"iPhone LINE", iphone + "Mobile/15E148 Safari Line/15.10.0", "", page.Client{Platform: "ios", Major: 18, InApp: "LINE", Mobile: true}},
		{"iPhone web view", iphone + "Mobile/15E148", "", page.Client{Platform: "ios", Major: 18, InApp: "app", Mobile: true}},
		{"Android Chrome", "Mozilla/5.0 (Linux; Android 10; K) " + chrome + "Mobile Safari/537.36", `"Android"`, page.Client{Platform: "android", Major: 10, Browser: "Chrome", Mobile: true}},
		{"Android Firefox", "Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0", "", page.Client{Platform: "android", Major: 15, Browser: "Firefox", Mobile: true}},
		{"Samsung", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", `"Android"`, page.Client{Platform: "android", Major: 10, Browser: "Samsung Internet", Mobile: true, Samsung: true}},
		{"Android tablet as desktop", "Mozilla/5.0 (X11; Linux x86_64) " + chrome + "Safari/537.36", `"Android"`, page.Client{Platform: "android", Browser: "Chrome", Mobile: true}},
		{"Android web view", "Mozilla/5.0 (Linux; Android 14; SM-S911B Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/142.0.0.0 Mobile Safari/537.36", `"Android"`, page.Client{Platform: "android", Major: 14, Browser: "Chrome", InApp: "app", Mobile: true, Samsung: true}},
		{"Android Telegram", "Mozilla/5.0 (Linux; Android 14; Pixel 8) " + chrome + "Mobile Safari/537.36 Telegram-Android/12.1.1 (Google Pixel 8; Android 14; SDK 34; HIGH)", "", page.Client{Platform: "android", Major: 14, Browser: "Chrome", InApp: "Telegram", Mobile: true}},
		{"Chromebook", "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) " + chrome + "Safari/537.36", `"Chrome OS"`, page.Client{Platform: "android", Browser: "Chrome", ChromeOS: true}},
		{"Windows Edge", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + chrome + "Safari/537.36 Edg/142.0.0.0", `"Windows"`, page.Client{Platform: "windows", Major: 10, Browser: "Edge"}},
		{"Windows Firefox", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0", "", page.Client{Platform: "windows", Major: 10, Browser: "Firefox"}},
		{"Mac Chrome", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) " + chrome + "Safari/537.36", `"macOS"`, page.Client{Platform: "macos", Browser: "Chrome"}},
		{"Linux Firefox", "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", "", page.Client{Platform: "linux", Browser: "Firefox"}},
		{"curl", "curl/8.5.0", "", page.Client{}},
		{"nothing", "", "", page.Client{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := page.Detect(tt.ua, tt.hint); got != tt.want {
				t.Errorf("got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func FuzzDetect(f *testing.F) {
	f.Add("Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X)", `"iOS"`)
	f.Add(strings.Repeat("Android 999999999999999999999", 1000), "\x00")
	f.Add("\xff\xfe<script>", `"><script>`)
	f.Fuzz(func(t *testing.T, ua, hint string) {
		c := page.Detect(ua, hint)
		if !slices.Contains([]string{"", page.IOS, page.Android, page.Windows, page.MacOS, page.Linux}, c.Platform) {
			t.Errorf("platform %q", c.Platform)
		}
		if c.Major < 0 || c.Major > 999 {
			t.Errorf("major %d", c.Major)
		}
		if len(c.Browser) > 20 || len(c.InApp) > 20 {
			t.Errorf("names %q, %q", c.Browser, c.InApp)
		}
	})
}
