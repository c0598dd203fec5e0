package main

import (
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	settings := []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}
	for _, tt := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{nil, "mqttx (devel)"},
		{&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "mqttx v1.2.3"},
		{&debug.BuildInfo{Settings: settings[:1]}, "mqttx (devel) (abc)"},
		{&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: settings}, "mqttx v1.2.3 (abc, modified)"},
	} {
		if got := describe(tt.info); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
