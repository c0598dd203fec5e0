module github.com/e8743928/mqttx

go 1.26

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/ws v1.5.0 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)
