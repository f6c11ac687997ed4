// As much of Expo's own module API (expo-modules-core, kotlin/modules) as the app's module uses, for the type check alone.
package expo.modules.kotlin.modules

import android.content.Context

class AppContext {
  val reactContext: Context? = null
}

abstract class Module {
  val appContext = AppContext()

  abstract fun definition(): ModuleDefinitionData

  fun sendEvent(name: String, body: Map<String, Any?>) {}
}

class ModuleDefinitionData

class AsyncFunctionComponent

class ModuleDefinitionBuilder {
  fun Name(name: String) {}
  fun Events(vararg names: String) {}
  inline fun <reified R> Function(name: String, crossinline body: () -> R) {}
  inline fun <reified R, reified P0> Function(name: String, crossinline body: (P0) -> R) {}
  inline fun <reified R, reified P0> AsyncFunction(name: String, crossinline body: (P0) -> R) = AsyncFunctionComponent()
  inline fun <reified R, reified P0, reified P1> AsyncFunction(name: String, crossinline body: (P0, P1) -> R) =
    AsyncFunctionComponent()
  inline fun OnCreate(crossinline body: () -> Unit) {}
  inline fun OnDestroy(crossinline body: () -> Unit) {}
  fun OnStartObserving(event: String, body: () -> Unit) {}
  fun OnStopObserving(event: String, body: () -> Unit) {}
}

inline fun Module.ModuleDefinition(body: ModuleDefinitionBuilder.() -> Unit): ModuleDefinitionData {
  ModuleDefinitionBuilder().body()
  return ModuleDefinitionData()
}
