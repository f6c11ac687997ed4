package com.facebook.react.bridge

interface WritableMap

object Arguments {
  fun createMap(): WritableMap = object : WritableMap {}
}
